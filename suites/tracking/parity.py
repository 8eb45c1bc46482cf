"""Say at every position whether the ones so far are odd in number: can a state flip for ever?

A linear recurrence whose factors lie between 0 and 1 cannot, at lengths without bound; -1 can.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import Batch, one_hot
from suites.tracking._running import RunningProduct


@final
@dataclass(frozen=True, kw_only=True)
class Parity(RunningProduct):
    """y[i] = (x[0] + ... + x[i]) mod 2 of bits."""

    counted: ClassVar[float] = 0.894

    @property
    def size(self) -> int:
        """Even and odd."""
        return 2

    def products(self, tokens: Int[Tensor, "b l"]) -> Int[Tensor, "b l"]:
        """Count."""
        return tokens.cumsum(1) % 2

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 2"]:
        """Flip at every one."""
        state, answers = torch.zeros_like(batch.inputs[:, 0], dtype=torch.bool), []
        for bit in batch.inputs.unbind(1):
            state = state ^ (bit == 1)
            answers.append(state.long())
        return one_hot(torch.stack(answers, 1), 2)
