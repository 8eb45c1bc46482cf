"""What the DLR paper's atomic tasks share: their signal, their clock, their options' checks.

Everything is drawn and computed in float64 and rounded to float32 at the very end, so the last bit
does not depend on the vector unit that computed a logarithm or a cosine.

Axes: b batch, l length, c channels.
"""

import math
from abc import ABC

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import GeneratedTask, SpecError


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


def at_least(name: str, value: int, least: int) -> None:
    """Check an option.

    Raises:
        SpecError: The value is too small.
    """
    if value < least:
        raise SpecError(f"The option {name!r} must be at least {least}, not {value}.")
