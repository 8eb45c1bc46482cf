"""Return the running sum, scaled to an even spread: can a model add without forgetting?

Source: task CumSum of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import Batch
from suites.synthetic._sequences import InPlace, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class CumSum(InPlace):
    """y[i] = (x[1] + ... + x[i]) / sqrt(i), counted from 1.

    The root makes the target depend on the position, which the clock's two channels tell.
    """

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences and add them up."""
        signal = normalised(n, self.length, rng)
        root = torch.arange(1, self.length + 1, dtype=torch.float64).sqrt()
        return Batch(with_clock(signal), (signal.cumsum(1) / root)[..., None].float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 1"]:
        """Step y[i] = (y[i - 1] sqrt(i - 1) + x[i]) / sqrt(i) from the left."""
        answers = [torch.zeros(len(batch), dtype=torch.float64)]
        for position, value in enumerate(batch.inputs[..., 0].double().unbind(1)):
            answers.append((answers[-1] * position**0.5 + value) / (position + 1) ** 0.5)
        return torch.stack(answers[1:], 1)[..., None].float()
