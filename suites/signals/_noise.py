"""The white noise of two memory tasks, limited to a band of frequencies.

Axes: b batch, l length, k frequencies.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import SpecError

RMS = 0.5
"""Of the noise before it is moved to begin at zero."""


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
