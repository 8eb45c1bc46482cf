"""What the tasks on Speech Commands share: one archive, parsed once into shards of shuffled clips.

Axes: b batch, l samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from harness.api import Batch, FileTask, RemoteFile, Split
from suites.speech._clips import ClipTask
from suites.speech._commands import ARCHIVE, Contents, clips, contents, shuffled

SHARD_SIZE = 1000
"""Clips cached together, 32 MB."""
SHARDS_PER_PASS = 28
"""Shards read in one pass over the archive: a few passes, and never more than 0.9 GB in memory."""


@dataclass(frozen=True, kw_only=True)
class RecordedTask(ClipTask, FileTask, ABC):
    """Clips of Speech Commands v0.02, standardised by mean and deviation of all training samples.

    S4's code divides samples by 2^15 that its audio library has already divided. Their deviation is
    then smaller than the 1e-5 that is added to it, and inputs are several times smaller than
    standardised ones. `scale="s4-code"` does that too, but not all that S4's code does: there, mean
    and deviation are those of each of the 16,000 positions over all training clips (`sc.py` of
    state-spaces/s4); here they are of all samples together.
    """

    scale: Literal["standard", "s4-code"] = "standard"
    """Standardise, or divide by 2^15 once more before, as S4's code does."""

    @abstractmethod
    def split_names(self, found: Contents) -> Mapping[Split, list[str]]:
        """Return the names of each split's clips."""

    def files(self) -> tuple[RemoteFile, ...]:
        """The archive of 2.4 GB."""
        return (ARCHIVE,)

    def depends_on(self) -> object:
        """Return the archive; both scales share their shards."""
        return [[file.name, file.checksum] for file in self.files()]

    def load(self, split: Split, folder: Path) -> Iterator[Batch]:
        """Yield shards of 16-bit samples, their clips in the order of hashes of their names.

        The archive has them word by word, which no model could be trained on. It is gone through
        several times, so that memory does not depend on its size.
        """
        archive = folder / ARCHIVE.name
        names = shuffled(self.split_names(contents(archive))[split])
        shards = [names[start : start + SHARD_SIZE] for start in range(0, len(names), SHARD_SIZE)]
        for start in range(0, len(shards), SHARDS_PER_PASS):
            group = shards[start : start + SHARDS_PER_PASS]
            for shard, samples in zip(group, clips(archive, group), strict=True):
                words = [name.partition("/")[0] for name in shard]
                labels = [self.vocabulary.index(word) for word in words]
                yield Batch(samples, torch.tensor(labels))

    def prepare(self, batch: Batch) -> Batch:
        """Scale samples as `scale` says."""
        mean, deviation = self.spread()
        unit = 2.0**15 if self.scale == "standard" else 2.0**30
        scaled = (batch.inputs.float() - mean) / (deviation + unit * 1e-5)
        return Batch(scaled[..., None], batch.targets)

    @lru_cache(maxsize=8)  # noqa: B019 - a task is a small frozen value, few a process
    def spread(self) -> tuple[float, float]:
        """Return mean and standard deviation of all training samples, in 16-bit units."""
        count = total = squares = 0
        for shard in self.shards("train"):
            samples = shard().inputs.numpy().astype(np.int32)
            count += samples.size
            total += int(samples.sum(dtype=np.int64))
            squares += int(np.square(samples).sum(dtype=np.int64))
        mean = total / count
        return mean, (squares / count - mean**2) ** 0.5
