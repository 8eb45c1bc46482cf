"""Return a noisy signal a fixed time later: does a model hold a window of the past?

Source: the delay task of Gu et al. 2022, "How to Train Your HiPPO", arXiv 2206.12037; sizes and
noise as in the S4 repository (`configs/dataset/delay.yaml`, `whitesignal`).

Axes: b batch, l length.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from harness.api import (
    Batch,
    Evaluation,
    SpecError,
    Values,
)
from suites._lengths import at_lengths
from suites._options import by_default, within
from suites.signals._noise import EXAMPLES, NoiseTask, band_limited, check_band


@final
@dataclass(frozen=True, kw_only=True)
class Delay(NoiseTask):
    """y[i] = x[i - lag], zero before the sequence began.

    A sequence lasts one second. Since it begins at zero, its mean says where the noise began, and
    that is half of the signal's power: the running mean of the input explains almost as much.
    """

    lag: int = 1000
    """Samples by which the answer is late."""
    frequency: int = 1000
    """The noise's highest frequency in hertz, below half the length."""

    def __post_init__(self) -> None:
        within("length", self.length, 3)
        check_band(self.length, self.frequency)
        if not 1 <= self.lag < self.length:
            raise SpecError(
                f"The lag must lie between 1 and the length {self.length}, not be {self.lag}."
            )

    @property
    def outputs(self) -> Values:
        """The delayed signal at every position."""
        return Values(1, last=self.length)

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The mean so far, from the lag on."""
        return by_default(self, {"running mean": 0.48})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences of one second."""
        return self.drawn(n, self.length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any length with the same lag, asked about where the last second ends.

        Their highest frequency is the same, rounded to whole cycles a sequence.
        """
        signal = band_limited(n, length, length * self.frequency // self.length, rng)
        delayed = F.pad(signal, (self.lag, 0))[:, length - self.length : length]
        return Batch(signal[..., None].float(), delayed[..., None].float())

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask the trained network about the last second of sequences that last two."""
        return at_lengths(self, [2 * self.length], partial(self.drawn, EXAMPLES))

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:
        """Answer with the mean of what was seen so far, from the lag on."""
        count = torch.arange(1, batch.inputs.shape[1] + 1)[:, None]
        mean = batch.inputs.cumsum(1) / count * (count > self.lag)
        return {"running mean": mean[:, -self.length :]}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 1"]:
        """Convolve with the kernel that is one at the lag and zero elsewhere."""
        signal = batch.inputs[..., 0].double()
        kernel = torch.zeros(signal.shape[1], dtype=torch.float64)
        kernel[self.lag] = 1.0
        twice = 2 * signal.shape[1]
        late: Tensor = torch.fft.irfft(
            torch.fft.rfft(signal, twice) * torch.fft.rfft(kernel, twice), twice
        )
        return late[:, : signal.shape[1], None].float()
