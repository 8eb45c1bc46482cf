"""Tasks with finite splits that are made once, in shards, and cached on disk."""

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
from harness.contract.denoising import IGNORED
from harness.contract.task import LearningTask, Split

BUCKET = 8
"""Batches whose rows are sorted by length together: more leave less padding, and less chance."""


class CachedTask(LearningTask):
    """A task whose splits are rows of shards. Subclass `PregeneratedTask` or `FileTask`.

    Shards hold what takes the least room, such as bytes; `prepare` makes of it what networks take,
    for one batch after the other, so that a large split is never whole in memory as real numbers.
    """

    shuffle_buffer: ClassVar[int] = 1
    """Training shards whose rows are shuffled together; more, if neighbouring examples are alike.
    """

    @property
    @abstractmethod
    def cache_name(self) -> str:
        """The folder of its shards, below that of all."""

    @abstractmethod
    def shards(self, split: Split) -> list[Callable[[], Batch]]:
        """Return what reads each shard of a split, and makes and caches it if it is not there."""

    def count(self, split: Split) -> int:
        """Add up the examples of all shards."""
        return sum(len(shard()) for shard in self.shards(split))

    def prepare(self, batch: Batch) -> Batch:
        """Turn examples as they are cached into examples as networks take them.

        The default changes nothing; integers of small types need no change (see `Batch`).
        """
        return batch

    @property
    def key(self) -> str:
        """What its shards go by: its name, its version, and a hash of what else they depend on.

        Shards depend on all options.
        """
        text = json.dumps(self.depends_on(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.name.replace('/', '-')}@{self.version}-{digest}"

    def depends_on(self) -> object:
        """Return what its shards depend on beside its name and version, fit for JSON."""
        return dataclasses.asdict(cast("Any", self))

    def split(self, split: Split) -> Batch:
        """Return validation or test; of the training data, the first shard."""
        return self.prepare(self.rows(split).examples)

    def rows(self, split: Split) -> Rows:
        """Return the same as it is cached, which `prepare` takes batch by batch."""
        shards = self.shards(split)[: 1 if split == "train" else None]
        return Rows(concatenate([shard() for shard in shards]), self.prepare)

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Yield shuffled epochs without end: shards in random order, and rows within a shard.

        The examples are the same in every draw, their order is not.

        Sequences of different lengths meet others of about their own, so that few positions are
        padding. The last, smaller batch of a shard, or of the shards in the shuffle buffer, is left
        out.
        """
        rng, shards = self.training_stream(draw, "order"), self.shards("train")
        while True:
            numbers = torch.randperm(len(shards), generator=rng).tolist()
            for first in range(0, len(numbers), self.shuffle_buffer):
                chosen = numbers[first : first + self.shuffle_buffer]
                rows = concatenate([shards[number]() for number in chosen])
                if len(rows) < size:  # all are that small, or it is the last, smaller shard
                    size = min(size, len(shards[0]()))
                for batch in shuffled_batches(rows.lengths, len(rows), size, rng):
                    yield self.prepare(rows[batch]).trimmed()


def shuffled_batches(
    lengths: Tensor | None, count: int, size: int, rng: torch.Generator
) -> Iterator[Tensor]:
    """Yield the rows of each batch in random order, the last, smaller one left out.

    Where lengths differ, (n,) or (n, documents), rows are bucketed by length: sorted by their
    longest sequence within `BUCKET` batches, whose order is random.
    """
    order = torch.randperm(count, generator=rng)[: count // size * size]
    if lengths is None:
        yield from order.view(-1, size)
        return
    longest = lengths.flatten(1).amax(1) if lengths.ndim > 1 else lengths
    for bucket in order.split(BUCKET * size):
        batches = bucket[longest[bucket].argsort(stable=True)].view(-1, size)
        for number in torch.randperm(len(batches), generator=rng).tolist():
            yield batches[number]


def concatenate(batches: list[Batch]) -> Batch:
    """Put batches together, padded to the longest, their integers in a type that holds them all."""
    fills = (0, IGNORED, 0)
    columns = zip(*((each.inputs, each.targets, each.lengths) for each in batches), strict=True)
    inputs, targets, lengths = (
        None if column[0] is None else _padded(list(column), fill)
        for column, fill in zip(columns, fills, strict=True)
    )
    return Batch(cast("Tensor", inputs), cast("Tensor", targets), lengths)


def _padded(rows: list[Tensor], fill: int) -> Tensor:
    """Concatenate along the first axis, after filling the second up to the longest."""
    longest = max(row.shape[1] for row in rows) if rows[0].ndim > 1 else 0
    if any(row.shape[1] < longest for row in rows if row.ndim > 1):
        if fill < 0:  # bytes hold no such filling
            rows = [row.short() if row.dtype == torch.uint8 else row for row in rows]
        after = [0, 0] * (rows[0].ndim - 2)
        rows = [F.pad(row, (*after, 0, longest - row.shape[1]), value=fill) for row in rows]
    return torch.cat(rows)
