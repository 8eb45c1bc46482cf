"""Multiply two binary numbers that stand one behind the other.

Delétang et al. 2022, arXiv 2207.02098. Here an answer has as many digits as the product may have,
and no end is written.

Axes: b batch, n digits.
"""

from dataclasses import dataclass
from operator import mul
from typing import ClassVar, final

import torch

from suites.languages._binary import SIGN, carried, joined
from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class BinaryMultiplication(Language):
    """Two numbers, as long as each other, with a sign between, all with the lowest digit first."""

    symbols: ClassVar[int] = 3
    shortest: ClassVar[int] = 3
    usual: ClassVar[float | None] = None

    def asked(self, length: int) -> int:
        """As many digits as both numbers have."""
        return 2 * ((length - 1) // 2)

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Add a shifted number for every digit of the other."""
        count = (length - 1) // 2
        a, b = letters(n, 2 * count, 2, rng).chunk(2, 1)
        columns = torch.zeros(n, 2 * count, dtype=torch.long)
        for place, digit in enumerate(b.unbind(1)):
            columns[:, place : place + count] += a * digit[:, None]
        return torch.cat([a, torch.full((n, 1), SIGN), b], 1), carried(columns)

    def answer(self, string: list[int]) -> list[int]:
        """Let Python multiply."""
        return joined(string, self.asked(len(string)), mul)
