"""What the tasks share that are made of Pathfinder images.

Axes: b images, l pixels row by row, p pixels of a side.
"""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import UInt8

from harness.api import Batch, GeneratedTask, OneLabel, Protocol, Signal, Split, Tokens
from suites._snakes.picture import Picture, drawn
from suites._snakes.style import Style

SEEDS = 2**63 - 1


class SnakesTask(GeneratedTask, ABC):
    """Images of a style, each from a seed of its own out of the task's stream."""

    @property
    def causal(self) -> bool:
        """An image has no past: models may look both ways, as in all published results."""
        return False


def pictures(style: Style, n: int, rng: torch.Generator) -> list[Picture]:
    """Draw n images from a CPU generator."""
    seeds = torch.randint(SEEDS, (n,), generator=rng).tolist()
    return [_picture(style, seed) for seed in seeds]


@lru_cache(maxsize=256)
def _picture(style: Style, seed: int) -> Picture:
    """Draw an image, or return it again: the splits are asked for more than once."""
    return drawn(style, seed)


def flat(images: list[UInt8[np.ndarray, "p p"]]) -> UInt8[torch.Tensor, "b l"]:
    """Stack images row by row."""
    return torch.from_numpy(np.stack(images)).flatten(1)


@dataclass(frozen=True, kw_only=True)
class JoinedTask(SnakesTask, ABC):
    """Does one of the two long dashed paths join the two discs?

    Both classes have two long paths, two discs and the same short paths to distract; only which end
    carries the second disc differs. Snakes-style images, **not** the released files: no download.
    """

    variant: Literal["s4", "original"] = "s4"
    """Grey values in [0, 1] as real numbers, as in S4's code, or as tokens 0 to 255."""

    style: ClassVar[Style]
    examples: ClassVar[Mapping[Split, int]] = {"train": 32, "validation": 16, "test": 32}
    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=16, width=64, depth=2)

    @property
    def inputs(self) -> Signal | Tokens:
        """A grey value."""
        return Signal(1) if self.variant == "s4" else Tokens(256)

    @property
    def outputs(self) -> OneLabel:
        """Apart (0) or joined (1)."""
        return OneLabel(2)

    @property
    def max_length(self) -> int:
        """The pixels."""
        return self.style.size**2

    @property
    def chance(self) -> float:
        """A fair coin says which."""
        return 0.5

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw images, and look at none to tell the label."""
        drawn = pictures(self.style, n, rng)
        pixels = flat([picture.pixels for picture in drawn])
        inputs = (pixels.float() / 255)[..., None] if self.variant == "s4" else pixels.long()
        return Batch(inputs, torch.tensor([picture.label for picture in drawn]).long())
