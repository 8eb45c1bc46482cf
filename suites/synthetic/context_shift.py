"""Return the sequence at a delay that its first two values tell: can a kernel follow the context?

Source: task Context-Shift of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import Batch, Protocol
from suites.synthetic._sequences import InPlace, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class ContextShift(InPlace):
    """y[i] = x[i - s], zero before; x begins with the cosine and the sine of 2 pi s / length.

    The header is shifted with the rest. A convolution has one kernel for all sequences and cannot.
    """

    least: ClassVar[int] = 4
    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=32, width=64, depth=2)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw delays from 0 to length - 3 and sequences, and look up where values came from."""
        delay = torch.randint(self.length - 2, (n, 1), generator=rng)
        angle = 2 * math.pi * delay.double() / self.length
        signal = torch.cat([angle.cos(), angle.sin(), normalised(n, self.length - 2, rng)], 1)
        origin = torch.arange(self.length) - delay
        delayed = signal.gather(1, origin.clamp(min=0)).where(origin >= 0, 0.0)
        return Batch(with_clock(signal), delayed[..., None].float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 1"]:
        """Read the delay off the header's angle and push the sequence back by as much."""
        signal = batch.inputs[..., 0]
        angle = torch.atan2(signal[:, 1], signal[:, 0]) / (2 * math.pi)
        delays = (angle * self.length).round().long() % self.length
        answer = torch.zeros_like(signal)
        for row, delay in enumerate(delays.tolist()):
            answer[row, delay:] = signal[row, : self.length - delay]
        return answer[..., None]
