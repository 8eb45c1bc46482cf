"""Return the largest value so far: can a model compare without forgetting?

Source: task CumMax of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import Batch
from suites._options import by_default
from suites.synthetic._sequences import InPlace, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class CumMax(InPlace):
    """y[i] = max(x[0], ..., x[i]).

    The target rises towards 1 whatever the input, so a prediction from the position alone already
    scores an R2 of about 0.47 at length 512.
    """

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The mean of the running maximum at every place."""
        return by_default(self, {"usual answer at the place": 0.47})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences and take their running maxima."""
        signal = normalised(n, self.length, rng)
        return Batch(with_clock(signal), signal.cummax(1).values[..., None].float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 1"]:
        """Keep the larger of the last answer and the next value, from the left."""
        answers = [batch.inputs[:, 0, 0]]
        for value in batch.inputs[:, 1:, 0].unbind(1):
            answers.append(torch.maximum(answers[-1], value))
        return torch.stack(answers, 1)[..., None]
