"""Say what lies on a stack after pushes and pops: what a stack is for.

Delétang et al. 2022, arXiv 2207.02098.

Axes: b batch, n symbols of the string, m symbols of the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from harness.api import IGNORED
from suites.languages._language import Drawn, Language, letters

END, PUSH_A, PUSH_B, POP = range(2, 6)


@final
@dataclass(frozen=True, kw_only=True)
class StackManipulation(Language):
    """A stack of a and b from the bottom up, then as many actions: push a, push b, pop.

    The answer is the stack from the top down and an end; an empty stack stays so when it is popped.
    """

    symbols: ClassVar[int] = 6
    usual: ClassVar[float | None] = None
    cheap: ClassVar[Mapping[str, float]] = {"commonest value": 0.539, "boosted trees": 0.569}
    shortest: ClassVar[int] = 2

    def asked(self, length: int) -> int:
        """The stack, if everything is pushed, and its end."""
        return length + 1

    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Write into a row of cells below the height, which every action moves by one."""
        bottom = length // 2
        start = letters(n, bottom, 2, rng)
        actions = letters(n, length - bottom, 3, rng) + PUSH_A
        cells = torch.cat([start, torch.zeros(n, length - bottom + 1, dtype=torch.long)], 1)
        height = torch.full((n, 1), bottom)
        for action in actions.split(1, 1):
            # What is written above the height is never seen, so a pop may write, too.
            cells.scatter_(1, height, (action == PUSH_B).long())
            height = (height + torch.where(action == POP, -1, 1)).clamp(min=0)
        return torch.cat([start, actions], 1), from_the_top(cells, height)

    def answer(self, string: list[int]) -> list[int]:
        """Do action by action."""
        stack: list[int] = []
        for symbol in string:
            if symbol == POP:
                stack = stack[:-1]
            else:
                stack.append(symbol % PUSH_A)
        return [*stack[::-1], END]


def from_the_top(cells: Tensor, height: Tensor) -> Tensor:
    """Read (b, m) cells below (b, 1) heights downwards, then an end, then nothing."""
    below = height - 1 - torch.arange(cells.shape[1])
    found = cells.gather(1, below.clamp(min=0))
    return found.where(below >= 0, torch.where(below == -1, END, IGNORED))
