"""Add two binary numbers that stand one behind the other.

Delétang et al. 2022, arXiv 2207.02098. Here an answer has as many digits as the sum may have, and
no end is written.

Axes: b batch, n digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import add
from typing import ClassVar, final

import torch

from suites.languages._binary import SIGN, carried, joined
from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class BinaryAddition(Language):
    """Two numbers, as long as each other, with a sign between, all with the lowest digit first."""

    symbols: ClassVar[int] = 3
    cheap: ClassVar[Mapping[str, float]] = {"boosted trees": 0.524}
    shortest: ClassVar[int] = 3

    def asked(self, length: int) -> int:
        """A digit more than each number has."""
        return (length - 1) // 2 + 1

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Add column by column."""
        count = (length - 1) // 2
        a, b = letters(n, 2 * count, 2, rng).chunk(2, 1)
        columns = torch.cat([a + b, torch.zeros(n, 1, dtype=torch.long)], 1)
        return torch.cat([a, torch.full((n, 1), SIGN), b], 1), carried(columns)

    def answer(self, string: list[int]) -> list[int]:
        """Let Python add."""
        return joined(string, self.asked(len(string)), add)
