"""Say whether the letters b are even in number, once, behind the string: regular.

Delétang et al. 2022, arXiv 2207.02098. `tracking/parity` asks at every position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import ClassVar, final

import torch

from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class Parity(Language):
    """1 if a string of a and b has an even number of b, else 0."""

    cheap: ClassVar[Mapping[str, float]] = {"linear model": 0.586, "boosted trees": 0.955}

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Count."""
        strings = letters(n, length, 2, rng)
        return strings, 1 - strings.sum(1, keepdim=True) % 2

    def answer(self, string: list[int]) -> list[int]:
        """Flip at every b."""
        return [reduce(xor, string, 1)]
