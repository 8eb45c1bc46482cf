"""Work out sums and products of digits modulo five, without brackets: regular.

Delétang et al. 2022, arXiv 2207.02098.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._arithmetic import MINUS, MODULUS, PLUS, TIMES, flat
from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class ModularArithmetic(Language):
    """Digits 0 to 4 with plus, minus or times between any two; products come before sums."""

    symbols: ClassVar[int] = TIMES + 1
    usual: ClassVar[float | None] = 0.2

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Go from digit to digit with the sum of what is complete and the product that is not."""
        digits = letters(n, (length + 1) // 2, MODULUS, rng)
        signs = letters(n, (length - 1) // 2, 3, rng) + PLUS
        total, term = torch.zeros_like(digits[:, 0]), digits[:, 0]
        for sign, digit in zip(signs.unbind(1), digits[:, 1:].unbind(1), strict=True):
            goes_on = sign == TIMES
            total = torch.where(goes_on, total, total + term) % MODULUS
            signed = torch.where(sign == MINUS, -digit, digit)
            term = torch.where(goes_on, term * digit, signed) % MODULUS
        string = torch.cat([digits[:, :1], torch.stack([signs, digits[:, 1:]], 2).flatten(1)], 1)
        return string, ((total + term) % MODULUS)[:, None]

    def answer(self, string: list[int]) -> list[int]:
        """Read term by term."""
        return [flat(string)]
