"""Write a string backwards: a stack can.

Delétang et al. 2022, arXiv 2207.02098. `synthetic/reverse` asks the same of real numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class ReverseString(Language):
    """The letters of a string of a and b, the last one first."""

    cheap: ClassVar[Mapping[str, float]] = {"commonest value": 0.565, "boosted trees": 0.599}

    def asked(self, length: int) -> int:
        """All of the string."""
        return length

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Turn around."""
        strings = letters(n, length, 2, rng)
        return strings, strings.flip(1)

    def answer(self, string: list[int]) -> list[int]:
        """Take letter by letter from a stack."""
        stack = string.copy()
        return [stack.pop() for _ in string]
