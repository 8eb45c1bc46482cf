"""Say where a walk on a circle of five places ends: regular.

Delétang et al. 2022, arXiv 2207.02098.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._language import Drawn, Language, letters

PLACES = 5
STAY, ON, BACK = range(3)


@final
@dataclass(frozen=True, kw_only=True)
class CycleNavigation(Language):
    """Moves stay, go one place on or one back; the answer is the place, counted from the first."""

    symbols: ClassVar[int] = PLACES
    usual: ClassVar[float | None] = 1 / PLACES
    cheap: ClassVar[Mapping[str, float]] = {"linear model": 0.247, "boosted trees": 0.927}

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Add up."""
        strings = letters(n, length, 3, rng)
        steps = (strings == ON).long() - (strings == BACK).long()
        return strings, steps.sum(1, keepdim=True) % PLACES

    def answer(self, string: list[int]) -> list[int]:
        """Go move by move."""
        place = 0
        for move in string:
            place = (place, (place + 1) % PLACES, (place - 1) % PLACES)[move]
        return [place]
