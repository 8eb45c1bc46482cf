"""Take the square root of a binary number, rounded down.

Delétang et al. 2022, arXiv 2207.02098. Here an answer has as many digits as the root may have, and
no end is written.

Axes: b batch, n digits, m digits of the root.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar, final

import torch

from suites.languages._binary import digits, value
from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class ComputeSqrt(Language):
    """A number and its root, both with the highest digit first."""

    usual: ClassVar[float | None] = None
    cheap: ClassVar[Mapping[str, float]] = {"boosted trees": 0.538}

    def asked(self, length: int) -> int:
        """Half as many digits."""
        return (length + 1) // 2

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Find digit by digit which is the greatest root whose square is not greater."""
        strings = letters(n, length, 2, rng)
        roots = [root_by_digits(row, self.asked(length)) for row in strings.tolist()]
        return strings, torch.tensor(roots)

    def answer(self, string: list[int]) -> list[int]:
        """Let Python take it."""
        return digits(isqrt(value(string[::-1])), self.asked(len(string)))[::-1]


def root_by_digits(string: list[int], count: int) -> list[int]:
    """Take a root as with pencil and paper: two digits of the number for one of the root."""
    padded = [0] * (2 * count - len(string)) + string
    root, rest, found = 0, 0, list[int]()
    for place in range(0, 2 * count, 2):
        rest = 4 * rest + 2 * padded[place] + padded[place + 1]
        digit = int(rest >= 4 * root + 1)
        rest -= digit * (4 * root + 1)
        root = 2 * root + digit
        found.append(digit)
    return found
