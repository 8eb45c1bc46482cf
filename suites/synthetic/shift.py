"""Return the sequence at eight delays: can a model remember exactly?

Source: task Shift of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import Batch, Protocol, Signal, SpecError, Values
from suites._options import by_default, within
from suites.synthetic._sequences import AtomicTask, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class Shift(AtomicTask):
    """y[i, h] = x[i - s_h], zero before the sequence began; the s_h are evenly spread.

    The first delay is zero, so a model without memory already scores R2 = 1 / 4.5 with 8 delays.
    """

    length: int = 512
    """Positions of the sequence."""
    shifts: int = 8
    """Delays asked for, from 0 to length - length / shifts."""

    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=32, width=64, depth=1)

    def __post_init__(self) -> None:
        within("shifts", self.shifts, 1)
        within("length", self.length, 1)
        if self.shifts > self.length:
            raise SpecError(
                "The options must hold shifts <= length, not "
                f"shifts={self.shifts}, length={self.length}."
            )

    @property
    def inputs(self) -> Signal:
        """The value, and the clock's cosine and sine."""
        return Signal(3)

    @property
    def outputs(self) -> Values:
        """The delayed values at every position."""
        return Values(self.shifts, last=self.length)

    @property
    def max_length(self) -> int:
        """The sequence."""
        return self.length

    @property
    def delays(self) -> list[int]:
        """The s_h, as the authors' code has them: a grid of whole numbers up to l - l / h.

        Where h does not divide l, that end is rounded down before the grid is laid.
        """
        last = int(self.length - self.length / self.shifts)
        found: list[int] = torch.linspace(0, last, self.shifts, dtype=torch.long).tolist()
        return found

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The first delay is none; trees also find where the others are zero."""
        return {
            "input at the place": self.length / sum(self.length - s for s in self.delays),
            **by_default(self, {"boosted trees": 0.233}),
        }

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences and look up where each delayed value came from."""
        signal = normalised(n, self.length, rng)
        origin = torch.arange(self.length)[:, None] - torch.tensor(self.delays)
        delayed = signal[:, origin.clamp(min=0)].where(origin >= 0, 0.0)
        return Batch(with_clock(signal), delayed.float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b l h"]:
        """Push the sequence through a delay line, one delay after another."""
        signal = batch.inputs[..., 0]
        answer = torch.zeros(*signal.shape, self.shifts)
        for index, delay in enumerate(self.delays):
            answer[:, delay:, index] = signal[:, : self.length - delay]
        return answer
