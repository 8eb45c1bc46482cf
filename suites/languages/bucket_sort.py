"""Sort a string over five letters: it is enough to count each of them.

Delétang et al. 2022, arXiv 2207.02098. `synthetic/sort` asks the same of real numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._language import Drawn, Language, letters

LETTERS = 5


@final
@dataclass(frozen=True, kw_only=True)
class BucketSort(Language):
    """The letters of a string in the order of the alphabet."""

    symbols: ClassVar[int] = LETTERS
    usual: ClassVar[float | None] = 1 / LETTERS
    cheap: ClassVar[Mapping[str, float]] = {
        "usual answer at the place": 0.774,
        "boosted trees": 0.92,
    }

    def asked(self, length: int) -> int:
        """All of the string."""
        return length

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Sort."""
        strings = letters(n, length, LETTERS, rng)
        return strings, strings.sort(1).values

    def answer(self, string: list[int]) -> list[int]:
        """Empty one bucket after the other."""
        return [letter for letter in range(LETTERS) for _ in range(string.count(letter))]
