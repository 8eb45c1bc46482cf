"""Return sixteen filtered copies of a noise: which family of kernels can a model learn?

Four families: taps close by, long decays, oscillations, and pulses at several scales. A linear,
time-invariant model can hold any of them, as far as its own kernels reach; so what it fails at says
what its initial values and its training favour.

Axes: b batch, l positions, k kernels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch, GeneratedTask, Protocol, Signal, Split, Values, stream
from suites._options import by_default, within

COUNT = 16
"""Kernels of a family."""
NEAR = 8
"""Taps of a short kernel."""
PULSES = 3
"""Of a kernel of several scales."""
SUMMARISED = {"short": 0.19, "long": 0.684, "oscillating": 0.138, "multi-scale": 0.013}
"""What a linear model reaches that sees the mean, the last value and other summaries so far."""


@final
@dataclass(frozen=True, kw_only=True)
class Chart(GeneratedTask):
    """y_k[i] = sum_j h_k[j] x[i - j] for white noise x and kernels h_k of norm 1."""

    family: Literal["short", "long", "oscillating", "multi-scale"] = "short"
    """Random taps at lags 0 to 7; decays over 1/64 to 1/2 of the length; waves that fade over a
    quarter of it; three pulses at lags that are uniform on a logarithmic scale."""
    length: int = 256
    """Positions."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 256, "validation": 256, "test": 512}
    protocol: ClassVar[Protocol] = Protocol(steps=1500, batch=32, width=64, depth=1)

    def __post_init__(self) -> None:
        within("length", self.length, 64)

    @property
    def inputs(self) -> Signal:
        """Noise."""
        return Signal(1)

    @property
    def outputs(self) -> Values:
        """What each kernel makes of it, at every position."""
        return Values(COUNT, self.length)

    @property
    def max_length(self) -> int:
        """The noise."""
        return self.length

    @property
    def causal(self) -> bool:
        """Kernels look back."""
        return True

    @property
    def chance(self) -> float:
        """The mean, which is 0."""
        return 0.0

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The one tap at the position itself, and what a few summaries of the past come to."""
        own = (self.kernels()[:, 0].square().mean() / self.variance().mean()).item()
        return {
            "input at the place": own,
            **by_default(self, {"linear model": SUMMARISED[self.family]}, "family"),
        }

    def variance(self) -> Float[Tensor, " l"]:
        """Return the mean variance of the outputs at each position, which sees a finite past."""
        return self.kernels().square().cumsum(1).mean(0)

    def kernels(self) -> Float[Tensor, "k l"]:
        """Return the kernels of the family, the same for every seed."""
        rng = stream(self.name, self.version, self.family)
        lag = torch.arange(self.length, dtype=torch.float64)
        share = torch.arange(COUNT, dtype=torch.float64)[:, None] / (COUNT - 1)
        if self.family == "short":
            taps = torch.randn(COUNT, NEAR, generator=rng, dtype=torch.float64)
            found = F.pad(taps, (0, self.length - NEAR))
        elif self.family == "long":
            found = torch.exp(-lag / (self.length / 64 * 32**share))
        elif self.family == "oscillating":
            # From one turn in the whole length to one in four positions.
            turns = 2 * math.pi / self.length * (self.length / 4) ** share
            found = torch.cos(turns * lag) * torch.exp(-lag / (self.length / 4))
        else:
            exponent = torch.rand(COUNT, PULSES, generator=rng, dtype=torch.float64)
            places = (self.length**exponent).long().clamp(max=self.length - 1)
            signs = torch.randn(COUNT, PULSES, generator=rng, dtype=torch.float64)
            found = torch.zeros(COUNT, self.length, dtype=torch.float64)
            found.scatter_add_(1, places, signs)
        normed: Tensor = found / found.norm(dim=1, keepdim=True)
        return normed

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw noise, and filter it by a Fourier transform."""
        noise = torch.randn(n, self.length, 1, generator=rng)
        spectrum = torch.fft.rfft(self.kernels(), 2 * self.length)
        heard = torch.fft.rfft(noise.double().transpose(1, 2), 2 * self.length)
        filtered = torch.fft.irfft(spectrum * heard, 2 * self.length)[..., : self.length]
        return Batch(noise, filtered.transpose(1, 2).float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b l k"]:
        """Add up lag by lag."""
        noise, found = batch.inputs.double(), torch.zeros(1, 1, COUNT, dtype=torch.float64)
        for lag, taps in enumerate(self.kernels().unbind(1)):
            found = found + F.pad(noise, (0, 0, lag, 0))[:, : self.length] * taps
        return found.float()
