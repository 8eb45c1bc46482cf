"""Tasks whose examples take long to draw: drawn once, in pieces, and kept on disk."""

import dataclasses
import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.contract.data import Batch
from harness.contract.labels import IGNORED
from harness.contract.task import LearningTask, Split
from harness.seeding import stream


class DrawnTask(LearningTask):
    """A task with finite splits that are drawn from its own stream and kept.

    A split is a row of pieces, each from a stream of its own, so it is the same in whatever order,
    by however many processes and after however many interruptions its pieces were drawn.
    """

    examples: ClassVar[Mapping[Split, int]]
    """Examples of each split."""
    piece: ClassVar[int] = 1000
    """Examples that are drawn and kept together."""

    @abstractmethod
    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n examples from a CPU generator."""

    def pieces(self, split: Split) -> list[tuple[str, Callable[[], Batch]]]:
        """Return the name of every piece of a split, and what draws it."""
        count = self.examples[split]
        sizes = [min(self.piece, count - start) for start in range(0, count, self.piece)]
        return [
            (f"{split}-{i:04d}x{n}", partial(self._draw, split, i, n)) for i, n in enumerate(sizes)
        ]

    @property
    def key(self) -> str:
        """The folder of its pieces: its name, its version, and a hash of its options."""
        options = dataclasses.asdict(cast("Any", self))
        text = json.dumps(options, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.name.replace('/', '-')}@{self.version}-{digest}"

    def split(self, split: Split) -> Batch:
        """Return validation or test; of the training data, the first piece."""
        pieces = self.pieces(split)
        pieces = pieces[:1] if split == "train" else pieces
        return joined([self._kept(*piece) for piece in pieces])

    def train_batches(self, size: int) -> Iterator[Batch]:
        """Yield shuffled epochs without end: pieces in random order, and rows within a piece.

        The last, smaller batch of a piece is left out.
        """
        rng, pieces = stream(self.name, self.version, "order"), self.pieces("train")
        size = min(size, self.piece, self.examples["train"])
        while True:
            for number in torch.randperm(len(pieces), generator=rng).tolist():
                piece = self._kept(*pieces[number])
                order = torch.randperm(len(piece), generator=rng)
                for start in range(0, len(piece) - size + 1, size):
                    yield joined([piece[order[start : start + size]]])

    def _draw(self, split: Split, number: int, n: int) -> Batch:
        return self.sample(n, stream(self.name, self.version, split, number))

    def _kept(self, name: str, draw: Callable[[], Batch]) -> Batch:
        from harness.pieces import kept  # noqa: PLC0415 - no folders without data

        return kept(self.key, name, draw)


def joined(parts: list[Batch]) -> Batch:
    """Put batches together, padded to the longest, in the types that networks take."""
    fills = (0, IGNORED, 0)
    columns = zip(*((part.inputs, part.targets, part.lengths) for part in parts), strict=True)
    inputs, targets, lengths = (
        None if column[0] is None else _padded(list(column), fill)
        for column, fill in zip(columns, fills, strict=True)
    )
    return Batch(cast("Tensor", inputs), cast("Tensor", targets), lengths)


def _padded(rows: list[Tensor], fill: int) -> Tensor:
    """Join along the first axis, after filling the second up to the longest."""
    if rows[0].ndim > 1:
        longest = max(row.shape[1] for row in rows)
        after = [0, 0] * (rows[0].ndim - 2)
        rows = [F.pad(row, (*after, 0, longest - row.shape[1]), value=fill) for row in rows]
    whole = torch.cat(rows)
    return whole if whole.is_floating_point() else whole.long()
