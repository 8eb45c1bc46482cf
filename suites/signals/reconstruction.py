"""Give back the last quarter of a signal from what is known at its end: what does a state keep?

Source: the reconstruction task of Gu et al. 2022, "How to Train Your HiPPO", arXiv 2206.12037, and
the S4 repository (`datasets/reconstruct.py`, `whitesignal`, and since August 2022
`configs/dataset/reconstruct.yaml`: 4,000 samples at 1,000 a second, noise up to 100 hertz, the last
1,000 samples to give back).

Axes: b batch, m samples to give back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import (
    Batch,
    Evaluation,
    Protocol,
    SpecError,
    Values,
    stream,
)
from suites._options import within
from suites.signals._noise import EXAMPLES, NoiseTask, band_limited, check_band


@final
@dataclass(frozen=True, kw_only=True)
class Reconstruction(NoiseTask):
    """All samples of the last stretch at once, read from the features of the last position.

    A sequence counts as one second here, and as four in the source, whose 100 hertz are 400 here.
    A quarter of a sequence of such noise has 200 degrees of freedom and its offset, so a head that
    reads fewer features than that cannot answer, whatever the model. The mean of the input alone
    explains half: see `signals/delay`.
    """

    memory: int = 1000
    """Samples to give back, counted from the end."""
    frequency: int = 400
    """The noise's highest frequency in cycles a sequence, below half the length."""

    version: ClassVar[int] = 2
    shortcuts: ClassVar[Mapping[str, float]] = {"mean": 0.50}
    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=8, width=256, depth=1)

    def __post_init__(self) -> None:
        within("length", self.length, 3)
        check_band(self.length, self.frequency)
        if not 1 <= self.memory <= self.length:
            raise SpecError(
                f"The memory must lie between 1 and the length {self.length}, not be {self.memory}."
            )

    @property
    def outputs(self) -> Values:
        """The last samples, oldest first, as one vector at the last position."""
        return Values(self.memory, last=1)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences of one second."""
        return self.drawn(n, 1, rng)

    def drawn(self, n: int, seconds: int, rng: torch.Generator) -> Batch:
        """Draw sequences of whole seconds, with the same frequencies and the same memory."""
        signal = band_limited(n, seconds * self.length, seconds * self.frequency, rng).float()
        return Batch(signal[..., None], signal[:, None, -self.memory :].clone())

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask for sequences twice as long, and for ones of which every second sample is left out.

        What must be given back has as many samples as ever.
        """

        def made(name: str, seconds: int, every: int) -> Evaluation:
            drawn = self.drawn(EXAMPLES, seconds, stream(self.name, self.version, name))
            return Evaluation(Batch(drawn.inputs[:, ::every], drawn.targets), rate=every)

        sets = {f"length-{2 * self.length}": (2, 1), "half-rate": (1, 2)}
        return {name: partial(made, name, *how) for name, how in sets.items()}

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:
        """Answer with the mean of the input, everywhere."""
        return {"mean": batch.inputs.mean(1, keepdim=True).expand(-1, -1, self.memory)}

    def oracle(self, batch: Batch) -> Float[Tensor, "b 1 m"]:
        """Keep a sequence's Fourier coefficients up to the highest frequency, and add up its waves.

        Of thousands of samples, 2 numbers a frequency and the mean are kept.
        """
        signal = batch.inputs[..., 0].double()
        length = signal.shape[1]
        cycles = torch.arange(self.frequency * length // self.length + 1, dtype=torch.float64)
        kept = torch.fft.rfft(signal)[:, : len(cycles)]
        kept[:, 1:] *= 2  # each wave stands for its conjugate too
        time = torch.arange(length - self.memory, length, dtype=torch.float64)
        angle = 2 * torch.pi * cycles[:, None] * time / length
        waves = torch.polar(torch.ones_like(angle), angle)
        summed: Tensor = (kept @ waves).real / length
        return summed[:, None].float()
