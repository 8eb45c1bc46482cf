"""Write a string twice: a queue can, a stack cannot.

Delétang et al. 2022, arXiv 2207.02098.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class DuplicateString(Language):
    """A string of a and b, and the same string again."""

    cheap: ClassVar[Mapping[str, float]] = {"commonest value": 0.562, "boosted trees": 0.578}

    def asked(self, length: int) -> int:
        """The string two times."""
        return 2 * length

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Repeat."""
        strings = letters(n, length, 2, rng)
        return strings, strings.repeat(1, 2)

    def answer(self, string: list[int]) -> list[int]:
        """Write letter by letter."""
        return [letter for _ in range(2) for letter in string]
