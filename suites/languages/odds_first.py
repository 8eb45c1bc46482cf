"""Write every other letter of a string, then those between.

Delétang et al. 2022, arXiv 2207.02098.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._language import Drawn, Language, letters


@final
@dataclass(frozen=True, kw_only=True)
class OddsFirst(Language):
    """The first, third, fifth letter and so on, then the second, fourth, sixth and so on."""

    cheap: ClassVar[Mapping[str, float]] = {"commonest value": 0.56, "boosted trees": 0.59}

    def asked(self, length: int) -> int:
        """All of the string."""
        return length

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Take two slices."""
        strings = letters(n, length, 2, rng)
        return strings, torch.cat([strings[:, ::2], strings[:, 1::2]], 1)

    def answer(self, string: list[int]) -> list[int]:
        """Sort places, the odd ones first."""
        places = sorted(range(len(string)), key=lambda place: place % 2)
        return [string[place] for place in places]
