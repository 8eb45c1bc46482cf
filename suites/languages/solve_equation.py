"""Find the digit that an equation modulo five asks for.

Delétang et al. 2022, arXiv 2207.02098, with expressions of our own: sums and differences, so that
one digit solves each. `synthetic/solve` is about real numbers and many equations.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from suites.languages._arithmetic import EQUALS, MODULUS, UNKNOWN, expression, reduced
from suites.languages._language import Drawn, Language


@final
@dataclass(frozen=True, kw_only=True)
class SolveEquation(Language):
    """An expression in which one digit is unknown, an equals sign, and what it comes to."""

    symbols: ClassVar[int] = EQUALS + 1
    usual: ClassVar[float | None] = 1 / MODULUS
    shortest: ClassVar[int] = 3

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Hide a digit of an expression that was worked out."""
        strings, answers = [], []
        for _ in range(n):
            symbols, value = expression(length - 2, 2, rng)
            digits = [place for place, symbol in enumerate(symbols) if symbol < MODULUS]
            place = digits[int(torch.randint(len(digits), (), generator=rng))]
            answers.append([symbols[place]])
            strings.append([*symbols[:place], UNKNOWN, *symbols[place + 1 :], EQUALS, value])
        return torch.tensor(strings), torch.tensor(answers)

    def answer(self, string: list[int]) -> list[int]:
        """Try every digit."""
        left, right = string[:-2], string[-1]
        tried = ([x if s == UNKNOWN else s for s in left] for x in range(MODULUS))
        return [next(x for x, symbols in enumerate(tried) if reduced(symbols) == right)]
