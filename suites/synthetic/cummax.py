"""Return the largest value so far: can a model compare without forgetting?

Source: task CumMax of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import Batch, Protocol, Signal, Values
from suites.synthetic._sequences import AtomicTask, at_least, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class CumMax(AtomicTask):
    """y[i] = max(x[0], ..., x[i]).

    The target rises towards 1 whatever the input, so a prediction from the position alone already
    scores an R2 of about 0.47 at length 512.
    """

    length: int = 512
    """Positions of the sequence."""

    protocol: ClassVar[Protocol] = Protocol(steps=400, batch=32, width=64, depth=1)

    def __post_init__(self) -> None:
        at_least("length", self.length, 2)

    @property
    def inputs(self) -> Signal:
        """The value, and the clock's cosine and sine."""
        return Signal(3)

    @property
    def outputs(self) -> Values:
        """The largest value so far, at every position."""
        return Values(1, last=self.length)

    @property
    def max_length(self) -> int:
        """The sequence."""
        return self.length

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
