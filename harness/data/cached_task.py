"""Tasks with finite splits that are made once, in pieces, and kept on disk."""

import dataclasses
import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.contract.batch import Batch, Rows
from harness.contract.labels import IGNORED
from harness.contract.task import LearningTask, Split
from harness.core.seeding import stream

ALIKE = 8
"""Batches whose rows are sorted by length together: more leave less padding, and less chance."""


class CachedTask(LearningTask):
    """A task whose splits are rows of pieces. Subclass `PregeneratedTask` or `FileTask`.

    Pieces hold what takes the least room, such as bytes; `prepare` makes of it what networks take,
    for one batch after the other, so that a large split is never whole in memory as real numbers.
    """

    mixed: ClassVar[int] = 1
    """Training pieces whose rows are shuffled together; more, if neighbouring examples are alike.
    """

    @property
    @abstractmethod
    def cache_name(self) -> str:
        """The folder of its pieces, below that of all."""

    @abstractmethod
    def shards(self, split: Split) -> list[Callable[[], Batch]]:
        """Return what reads each piece of a split, and makes and keeps it if it is not there."""

    def count(self, split: Split) -> int:
        """Add up the examples of all pieces."""
        return sum(len(piece()) for piece in self.shards(split))

    def prepare(self, batch: Batch) -> Batch:
        """Turn examples as they are kept into examples as networks take them.

        The default changes nothing; integers of small types need no change (see `Batch`).
        """
        return batch

    @property
    def key(self) -> str:
        """What its pieces go by: its name, its version, and a hash of what else they depend on.

        Pieces depend on all options.
        """
        text = json.dumps(self.depends_on(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.name.replace('/', '-')}@{self.version}-{digest}"

    def depends_on(self) -> object:
        """Return what its pieces depend on beside its name and version, fit for JSON."""
        return dataclasses.asdict(cast("Any", self))

    def split(self, split: Split) -> Batch:
        """Return validation or test; of the training data, the first piece."""
        return self.prepare(self.rows(split).kept)

    def rows(self, split: Split) -> Rows:
        """Return the same as it is kept, which `prepare` takes batch by batch."""
        pieces = self.shards(split)[: 1 if split == "train" else None]
        return Rows(joined([piece() for piece in pieces]), self.prepare)

    def train_batches(self, size: int) -> Iterator[Batch]:
        """Yield shuffled epochs without end: pieces in random order, and rows within a piece.

        Sequences of different lengths meet others of about their own, so that few positions are
        padding. The last, smaller batch of a piece, or of the pieces that are mixed, is left out.
        """
        rng, pieces = stream(self.name, self.version, "order"), self.shards("train")
        while True:
            numbers = torch.randperm(len(pieces), generator=rng).tolist()
            for first in range(0, len(numbers), self.mixed):
                rows = joined([pieces[i]() for i in numbers[first : first + self.mixed]])
                if len(rows) < size:  # all are that small, or it is the last, smaller piece
                    size = min(size, len(pieces[0]()))
                for chosen in drawn_batches(rows.lengths, len(rows), size, rng):
                    yield self.prepare(rows[chosen]).trimmed()


def drawn_batches(
    lengths: Tensor | None, count: int, size: int, rng: torch.Generator
) -> Iterator[Tensor]:
    """Yield the rows of each batch in random order, the last, smaller one left out.

    Where lengths differ, (n,) or (n, documents), rows are sorted by their longest sequence within
    `ALIKE` batches, whose order is random.
    """
    order = torch.randperm(count, generator=rng)[: count // size * size]
    if lengths is None:
        yield from order.view(-1, size)
        return
    longest = lengths.flatten(1).amax(1) if lengths.ndim > 1 else lengths
    for stretch in order.split(ALIKE * size):
        batches = stretch[longest[stretch].argsort(stable=True)].view(-1, size)
        for number in torch.randperm(len(batches), generator=rng).tolist():
            yield batches[number]


def joined(parts: list[Batch]) -> Batch:
    """Put batches together, padded to the longest, their integers in a type that holds them all."""
    fills = (0, IGNORED, 0)
    columns = zip(*((part.inputs, part.targets, part.lengths) for part in parts), strict=True)
    inputs, targets, lengths = (
        None if column[0] is None else _padded(list(column), fill)
        for column, fill in zip(columns, fills, strict=True)
    )
    return Batch(cast("Tensor", inputs), cast("Tensor", targets), lengths)


def _padded(rows: list[Tensor], fill: int) -> Tensor:
    """Join along the first axis, after filling the second up to the longest."""
    longest = max(row.shape[1] for row in rows) if rows[0].ndim > 1 else 0
    if any(row.shape[1] < longest for row in rows if row.ndim > 1):
        after = [0, 0] * (rows[0].ndim - 2)
        rows = [
            F.pad(_signed(row, fill), (*after, 0, longest - row.shape[1]), value=fill)
            for row in rows
        ]
    return torch.cat(rows)


def _signed(row: Tensor, fill: int) -> Tensor:
    """Return integers in a type that holds a negative filling too."""
    return row.short() if fill < 0 and row.dtype == torch.uint8 else row
