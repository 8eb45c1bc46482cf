"""Say whether neighbours differ an even number of times: regular, and known from both ends.

Delétang et al. 2022, arXiv 2207.02098.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch

from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class EvenPairs(Language):
    """1 if `ab` and `ba` stand an even number of times in a string of a and b, else 0."""

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """They are even in number if the first letter is the last."""
        strings = letters(n, length, 2, rng)
        return strings, (strings[:, :1] == strings[:, -1:]).long()

    def answer(self, string: list[int]) -> list[int]:
        """Count."""
        return [1 - sum(a != b for a, b in pairwise(string)) % 2]
