"""Return the marked values in order: can a model keep what matters and drop the rest?

Source: task Select of Gupta et al. 2022, arXiv 2212.00768, section 4.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch, Protocol, Signal, Values
from suites.synthetic._sequences import AtomicTask, at_least, normalised, with_clock


@final
@dataclass(frozen=True, kw_only=True)
class Select(AtomicTask):
    """Of length + marked values, `marked` carry a marker; the answer is read behind them.

    Every position holds noise of the same kind, only the marker tells which to keep. Then come
    `marked` empty positions, at which the kept values are given back in order.
    """

    length: int = 512
    """Positions that are not marked."""
    marked: int = 32
    """Values to keep."""

    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=32, width=64, depth=2)

    def __post_init__(self) -> None:
        at_least("marked", self.marked, 1)
        at_least("length", self.length, 1)

    @property
    def inputs(self) -> Signal:
        """The value, the marker (0 or 1), and the clock's cosine and sine."""
        return Signal(4)

    @property
    def outputs(self) -> Values:
        """The marked values, at the empty positions."""
        return Values(1, last=self.marked)

    @property
    def max_length(self) -> int:
        """Unmarked, marked and empty positions."""
        return self.length + 2 * self.marked

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw values, and mark the positions of the largest of as many uniform numbers."""
        filled = self.length + self.marked
        values = normalised(n, filled, rng)
        lots = torch.rand(n, filled, generator=rng, dtype=torch.float64)
        chosen = lots.topk(self.marked).indices.sort().values
        marker = torch.zeros_like(values).scatter_(1, chosen, 1.0)
        inputs = with_clock(F.pad(values, (0, self.marked)), F.pad(marker, (0, self.marked)))
        return Batch(inputs, values.gather(1, chosen)[..., None].float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b p 1"]:
        """Read off, row by row, the values whose marker is set."""
        values, marker = batch.inputs[..., 0], batch.inputs[..., 1]
        kept = [row[flag == 1] for row, flag in zip(values, marker, strict=True)]
        return torch.stack(kept)[..., None]
