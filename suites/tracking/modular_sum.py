"""Add up modulo m at every position: can a state turn on a circle for ever?

Parity is m = 2; more needs complex or mixing transitions.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float, Int
from torch import Tensor

from harness.api import Batch, one_hot
from suites._options import within
from suites.tracking._running import RunningProduct


@final
@dataclass(frozen=True, kw_only=True)
class ModularSum(RunningProduct):
    """y[i] = (x[0] + ... + x[i]) mod m of numbers below m."""

    modulus: int = 5
    """m."""

    counted: ClassVar[float] = 0.552

    def __post_init__(self) -> None:
        super().__post_init__()
        within("modulus", self.modulus, 2)

    @property
    def size(self) -> int:
        """The remainders."""
        return self.modulus

    def products(self, tokens: Int[Tensor, "b l"]) -> Int[Tensor, "b l"]:
        """Add up."""
        return tokens.cumsum(1) % self.modulus

    def oracle(self, batch: Batch) -> Float[Tensor, "b l m"]:
        """Turn the hand of a clock with m hours, sequence by sequence."""
        answers = batch.inputs.clone()
        for position in range(1, answers.shape[1]):
            turned = answers[:, position - 1] + batch.inputs[:, position]
            answers[:, position] = turned.where(turned < self.modulus, turned - self.modulus)
        return one_hot(answers, self.modulus)
