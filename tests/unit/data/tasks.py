"""Tasks that tests of data share."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from harness.api import Batch, PregeneratedTask, StepLabels, Tokens


@dataclass(frozen=True, kw_only=True)
class Ragged(PregeneratedTask):
    """Sequences of different lengths; how many are drawn at a time is noted."""

    top: int = 300
    drawn: ClassVar[list[int]] = []
    examples: ClassVar = {"train": 10, "validation": 3, "test": 7}
    shard_size: ClassVar[int] = 4
    inputs = property(lambda self: Tokens(self.top))
    outputs = property(lambda self: StepLabels(self.top))
    max_length = property(lambda self: 9)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def sample(self, n, rng):
        self.drawn.append(n)
        length = int(torch.randint(3, 10, (), generator=rng))
        inputs = torch.randint(self.top, (n, length), generator=rng)
        return Batch(inputs, inputs - 7, torch.full((n,), length))


@dataclass(frozen=True, kw_only=True)
class Samples(Ragged):
    """Numbers that are cached as bytes and handed out as fractions."""

    shuffle_buffer: ClassVar[int] = 3

    def sample(self, n, rng):
        values = torch.randint(256, (n, 2, 1), generator=rng)
        return Batch(values, values[:, 0, 0])

    def prepare(self, batch):
        return Batch(batch.inputs / 255, batch.targets)
