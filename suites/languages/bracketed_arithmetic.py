"""Work out an expression with brackets modulo five: it takes a stack.

"Modular arithmetic" of Delétang et al. 2022, arXiv 2207.02098, with expressions of our own.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._arithmetic import CLOSE, expression, reduced
from suites.languages._language import Drawn, Language


@final
@dataclass(frozen=True, kw_only=True)
class BracketedArithmetic(Language):
    """Digits 0 to 4, plus, minus and times, every two parts in brackets; the answer is a digit."""

    symbols: ClassVar[int] = CLOSE + 1
    usual: ClassVar[float | None] = None

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Draw trees, and work them out from their leaves."""
        rows = [expression(length, 3, rng) for _ in range(n)]
        return (
            torch.tensor([symbols for symbols, _ in rows]),
            torch.tensor([[value] for _, value in rows]),
        )

    def answer(self, string: list[int]) -> list[int]:
        """Read with a stack."""
        return [reduced(string)]
