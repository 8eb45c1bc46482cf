"""Find the letter that a string's second half lacks: the halves are alike but for a gap.

Delétang et al. 2022, arXiv 2207.02098.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._language import Drawn, Language, letters

GAP = 2


@final
@dataclass(frozen=True, kw_only=True)
class MissingDuplicate(Language):
    """A string of a and b twice, one letter of the repetition replaced by a gap."""

    symbols: ClassVar[int] = 3
    cheap: ClassVar[Mapping[str, float]] = {"linear model": 0.604, "boosted trees": 0.969}
    shortest: ClassVar[int] = 2

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Take out what is asked for."""
        half = length // 2
        first = letters(n, half, 2, rng)
        place = torch.randint(half, (n, 1), generator=rng)
        return torch.cat([first, first.scatter(1, place, GAP)], 1), first.gather(1, place)

    def answer(self, string: list[int]) -> list[int]:
        """Look half a string before the gap."""
        return [string[string.index(GAP) - len(string) // 2]]
