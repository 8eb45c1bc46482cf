"""Tasks whose examples take long to draw: drawn once, in pieces, and kept on disk."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import torch

from harness.contract.data import Batch
from harness.contract.kept import KeptTask, joined
from harness.contract.task import Split
from harness.seeding import stream


class DrawnTask(KeptTask):
    """A task with finite splits that are drawn from its own stream and kept.

    Each piece has a stream of its own, so a split is the same in whatever order, by however many
    processes and after however many interruptions its pieces were drawn.
    """

    piece: ClassVar[int] = 1000
    """Examples that are drawn and kept together."""

    @property
    @abstractmethod
    def examples(self) -> Mapping[Split, int]:
        """Examples of each split: an attribute of the class, or what its options say."""

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n examples from a CPU generator."""

    @property
    def shelf(self) -> str:
        """One folder for all splits."""
        return f"drawn/{self.key}"

    def count(self, split: Split) -> int:
        """Return the size of a split, drawn or not."""
        return self.examples[split]

    def pieces(self, split: Split) -> list[Callable[[], Batch]]:
        """Return what reads each piece of a split, and draws and keeps it if it is not there."""
        count = self.count(split)
        sizes = [min(self.piece, count - start) for start in range(0, count, self.piece)]
        return [partial(self._kept, split, number, sizes) for number in range(len(sizes))]

    def draw(self, split: Split, n: int, rng: torch.Generator) -> Batch:  # noqa: ARG002
        """Draw n examples of a split; the default draws all splits alike."""
        return self.sample(n, rng)

    def fresh(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n examples."""
        return self.ready(self.sample(n, rng))

    def beginning(self, split: Split) -> Batch:
        """Return a split's first piece."""
        return self.ready(joined([self.pieces(split)[0]()]))

    def _kept(self, split: Split, number: int, sizes: list[int]) -> Batch:
        from harness.pieces import kept  # noqa: PLC0415 - no folders without data

        n = sizes[number]
        return kept(
            f"{self.shelf}/{split}-{number:04d}x{n}",
            lambda: self.draw(split, n, stream(self.name, self.version, split, number)),
            f"drawing {self.name}: {split} piece {number + 1} of {len(sizes)}",
        )
