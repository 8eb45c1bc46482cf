"""Tasks whose examples are drawn: afresh for each batch, or once, in shards that are cached."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar

import torch

from harness.contract.batch import Batch
from harness.contract.task import LearningTask, Split
from harness.core.notify import drew, status
from harness.core.seeding import stream
from harness.data.cached_task import CachedTask
from harness.data.shards import load_or_generate
from harness.measure.clock import now


class GeneratedTask(LearningTask):
    """A task whose data are drawn, from its own stream and nothing else."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 1024, "validation": 512, "test": 1024}
    """Examples of each split that `split` returns."""

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n examples from a CPU generator."""

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Yield fresh examples without end."""
        rng = self.training_stream(draw, "train")
        while True:
            start = now()
            batch = self.sample(size, rng)
            drew(now() - start)
            yield batch

    def new_examples(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n examples."""
        return self.sample(n, rng)

    def count(self, split: Split) -> int:
        """Return the size of the fixed sample."""
        return self.examples[split]

    def split(self, split: Split) -> Batch:
        """Draw a fixed sample."""
        with status(f"drawing {self.name}: {split}"):
            return self.sample(self.examples[split], stream(self.name, self.version, split))


class PregeneratedTask(CachedTask):
    """A task with finite splits that are drawn from its own stream and cached.

    Each shard has a stream of its own, so a split is the same in whatever order, by however many
    processes and after however many interruptions its shards were drawn.
    """

    shard_size: ClassVar[int] = 1000
    """Examples that are drawn and cached together."""

    @property
    @abstractmethod
    def examples(self) -> Mapping[Split, int]:
        """Examples of each split: an attribute of the class, or what its options say."""

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n examples from a CPU generator."""

    @property
    def cache_name(self) -> str:
        """One folder for all splits."""
        return f"drawn/{self.key}"

    def count(self, split: Split) -> int:
        """Return the size of a split, drawn or not."""
        return self.examples[split]

    def shards(self, split: Split) -> list[Callable[[], Batch]]:
        """Return what reads each shard of a split, and draws and caches it if it is not there."""
        count = self.count(split)
        sizes = [min(self.shard_size, count - start) for start in range(0, count, self.shard_size)]
        return [partial(self._shard, split, number, sizes) for number in range(len(sizes))]

    def draw(self, split: Split, n: int, rng: torch.Generator) -> Batch:  # noqa: ARG002
        """Draw n examples of a split; the default draws all splits alike."""
        return self.sample(n, rng)

    def new_examples(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n examples."""
        return self.prepare(self.sample(n, rng))

    def first_examples(self, split: Split) -> Batch:
        """Return a split's first shard."""
        return self.prepare(self.shards(split)[0]())

    def _shard(self, split: Split, number: int, sizes: list[int]) -> Batch:
        n = sizes[number]
        return load_or_generate(
            f"{self.cache_name}/{split}-{number:04d}x{n}",
            lambda: self.draw(split, n, stream(self.name, self.version, split, number)),
            f"drawing {self.name}: {split} shard {number + 1} of {len(sizes)}",
        )
