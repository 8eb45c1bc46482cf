"""What the DLR paper's atomic tasks share: their signal, their clock, their options' checks.

Everything is drawn and computed in float64 and rounded to float32 at the very end, so the last bit
does not depend on the vector unit that computed a logarithm or a cosine.

Axes: b batch, l length, c channels.
"""

import math
from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import GeneratedTask, Protocol, Signal, Values
from suites._options import within


class AtomicTask(GeneratedTask, ABC):
    """One of the paper's regressions from sequence to sequence, all asked of causal models."""

    @property
    def causal(self) -> bool:
        """As in the paper."""
        return True

    @property
    def chance(self) -> float:
        """The mean explains nothing."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class InPlace(AtomicTask, ABC):
    """One value in and one value asked at every position."""

    length: int = 512
    """Positions of the sequence."""

    least: ClassVar[int] = 2
    """Positions that the task needs."""
    protocol: ClassVar[Protocol] = Protocol(steps=400, batch=32, width=64, depth=1)

    def __post_init__(self) -> None:
        within("length", self.length, self.least)

    @property
    def inputs(self) -> Signal:
        """The value, and the clock's cosine and sine."""
        return Signal(3)

    @property
    def outputs(self) -> Values:
        """A value at every position."""
        return Values(1, last=self.length)

    @property
    def max_length(self) -> int:
        """The sequence."""
        return self.length


@dataclass(frozen=True, kw_only=True)
class Behind(AtomicTask, ABC):
    """As many values asked behind a sequence as it has, at empty positions."""

    length: int = 512
    """Values of the sequence; as many empty positions follow."""

    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=32, width=64, depth=2)

    def __post_init__(self) -> None:
        within("length", self.length, 1)

    @property
    def inputs(self) -> Signal:
        """The value, and the clock's cosine and sine."""
        return Signal(3)

    @property
    def outputs(self) -> Values:
        """A value at every empty position."""
        return Values(1, last=self.length)

    @property
    def max_length(self) -> int:
        """Values and empty positions."""
        return 2 * self.length


def normalised(n: int, length: int, rng: torch.Generator) -> Float[Tensor, "b l"]:
    """Draw Gaussian sequences, each divided by its largest absolute value.

    Source: Gupta et al. 2022, arXiv 2212.00768, and the data sets of github.com/ag1988/dlr.

    Args:
        n: Sequences, b.
        length: Values of each, l.
        rng: A CPU generator.

    Returns:
        (b, l) float64 in [-1, 1]; each row has one entry of size 1.
    """
    values = torch.randn(n, length, generator=rng, dtype=torch.float64)
    return values / values.abs().amax(1, keepdim=True)


def with_clock(*signals: Float[Tensor, "b l"]) -> Float[Tensor, "b l c"]:
    """Stack signals to channels and append one turn of a cosine and a sine over the whole input.

    Returns:
        (b, l, c) float32, c being the signals and two.
    """
    n, length = signals[0].shape
    angle = 2 * math.pi * torch.arange(length, dtype=torch.float64) / length
    return torch.stack([*signals, angle.cos().expand(n, -1), angle.sin().expand(n, -1)], 2).float()
