"""What the two memory tasks share: white noise, limited to a band of frequencies.

Axes: b batch, l length, k frequencies.
"""

import math
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import GeneratedTask, Protocol, Signal, SpecError, Split

RMS = 0.5
"""Of the noise before it is moved to begin at zero."""
EXAMPLES = 128
"""Sequences of each further evaluation."""


@dataclass(frozen=True, kw_only=True)
class NoiseTask(GeneratedTask, ABC):
    """One second of noise, of which something must be remembered."""

    length: int = 4000
    """Samples of a sequence, and samples a second."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 1024, "validation": 128, "test": 512}
    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=8, width=64, depth=1)

    @property
    def inputs(self) -> Signal:
        """The signal."""
        return Signal(1)

    @property
    def max_length(self) -> int:
        """The sequence; one further evaluation is longer."""
        return self.length

    @property
    def causal(self) -> bool:
        """As in the paper: a memory of the past."""
        return True

    @property
    def chance(self) -> float:
        """The mean explains nothing."""
        return 0.0


def band_limited(n: int, length: int, cycles: int, rng: torch.Generator) -> Float[Tensor, "b l"]:
    """Draw periodic Gaussian noise with equal power at 1 to `cycles` cycles a sequence.

    Each sequence is moved so that it begins at zero, as in the S4 repository (`whitesignal`, after
    the Nengo library). The move is as large as the noise itself and the same at every position.

    Args:
        n: Sequences, b.
        length: Samples of each, l.
        cycles: The highest frequency, k, in cycles a sequence; below half the length.
        rng: A CPU generator.

    Returns:
        (b, l) float64; apart from the move, each value has the root mean square `RMS`.
    """
    waves = torch.randn(n, cycles, 2, generator=rng, dtype=torch.float64)
    spectrum = torch.zeros(n, length // 2 + 1, dtype=torch.complex128)
    # The inverse transform divides by the length and adds each wave's conjugate.
    spectrum[:, 1 : cycles + 1] = torch.view_as_complex(waves) * length / 2
    noise: Tensor = torch.fft.irfft(spectrum, length) * RMS / math.sqrt(cycles)
    return noise - noise[:, :1]


def check_band(length: int, frequency: int) -> None:
    """Check that a sequence of one second can hold its frequencies.

    Raises:
        SpecError: Noise up to `frequency` would need more samples, or there is none.
    """
    if not 1 <= frequency < length / 2:
        raise SpecError(
            f"The frequency must lie between 1 and half the length, {length / 2:g}, "
            f"not be {frequency}."
        )
