"""What Select and Select-Fixed share: all but the choice of the positions.

Axes: b batch, p marked positions, l positions.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch, Protocol, Signal, Values
from suites._options import within
from suites.synthetic._sequences import AtomicTask, normalised, with_clock


@dataclass(frozen=True, kw_only=True)
class SelectionTask(AtomicTask, ABC):
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
        within("marked", self.marked, 1)
        within("length", self.length, 1)

    @abstractmethod
    def chosen(self, n: int, rng: torch.Generator) -> Int[Tensor, "b p"]:
        """Choose the positions to be marked, in order."""

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
        """Draw values and mark the chosen ones."""
        values = normalised(n, self.length + self.marked, rng)
        chosen = self.chosen(n, rng)
        marker = torch.zeros_like(values).scatter_(1, chosen, 1.0)
        inputs = with_clock(F.pad(values, (0, self.marked)), F.pad(marker, (0, self.marked)))
        return Batch(inputs, values.gather(1, chosen)[..., None].float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b p 1"]:
        """Read off, row by row, the values whose marker is set."""
        values, marker = batch.inputs[..., 0], batch.inputs[..., 1]
        kept = [row[flag == 1] for row, flag in zip(values, marker, strict=True)]
        return torch.stack(kept)[..., None]


def lots(n: int, count: int, marked: int, rng: torch.Generator) -> Int[Tensor, "b p"]:
    """Draw positions without replacement: those of the largest of as many uniform numbers."""
    drawn = torch.rand(n, count, generator=rng, dtype=torch.float64)
    return drawn.topk(marked).indices.sort().values
