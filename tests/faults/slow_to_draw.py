"""A task whose examples take long to draw, or cannot be drawn, as it is told."""

import time
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch

from harness.api import Batch, OneLabel, PregeneratedTask, SpecError, Tokens


@final
@dataclass(frozen=True, kw_only=True)
class SlowToDraw(PregeneratedTask):
    """Name the token."""

    fault: Literal["none", "nap", "break"] = "none"
    """What happens when a short shard, a split's last one, is drawn."""

    examples: ClassVar = {"train": 8, "validation": 8, "test": 12}
    shard_size: ClassVar[int] = 8
    inputs = property(lambda self: Tokens(2))
    outputs = property(lambda self: OneLabel(2))
    max_length = property(lambda self: 1)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.5)

    def sample(self, n, rng):
        """Draw tokens, after the fault."""
        if n < self.shard_size and self.fault == "nap":
            time.sleep(600)
        if n < self.shard_size and self.fault == "break":
            raise SpecError("The pencil is broken; sharpen it.")
        tokens = torch.randint(2, (n, 1), generator=rng)
        return Batch(tokens, tokens[:, 0])
