"""Multiply in a group at every position: can a state compose, where the order matters?

Source: Merrill, Petty, Sabharwal 2024, "The Illusion of State in State-Space Models", arXiv
2404.08819. The problem of S5 and A5 is complete for NC1; models of fixed depth with diagonal
transitions lie in TC0, as Transformers do.

Axes: g elements of the group, p points that they permute.
"""

from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import Batch, one_hot
from suites.tracking._running import RunningProduct

GroupName = Literal["s3", "a4", "s4", "a5", "s5"]


@final
@dataclass(frozen=True, kw_only=True)
class WordProblem(RunningProduct):
    """y[i] = x[0] x[1] ... x[i], where the left factor acts first."""

    group: GroupName = "s3"
    """All permutations of so many points (s), or the even ones (a): 6, 12, 24, 60, 120 elements."""

    counted: ClassVar[float] = 0.197

    @property
    def size(self) -> int:
        """The group's elements."""
        return len(elements(self.group))

    def products(self, tokens: Int[Tensor, "b l"]) -> Int[Tensor, "b l"]:
        """Look up product after product in the group's table."""
        table = multiplication(self.group)
        running = [tokens[:, 0]]
        for token in tokens[:, 1:].unbind(1):
            running.append(table[running[-1], token])
        return torch.stack(running, 1)

    def oracle(self, batch: Batch) -> Float[Tensor, "b l g"]:
        """Carry the points themselves around, and name the permutation that they have reached."""
        group = elements(self.group)
        names = {element: name for name, element in enumerate(group)}
        answers = []
        for row in batch.inputs.tolist():
            points, reached = tuple(range(len(group[0]))), []
            for token in row:
                points = tuple(group[token][point] for point in points)
                reached.append(names[points])
            answers.append(reached)
        return one_hot(torch.tensor(answers), self.size)


@cache
def elements(group: GroupName) -> tuple[tuple[int, ...], ...]:
    """Return a group's permutations in lexicographic order, the identity first."""
    every = permutations(range(int(group[1])))
    return tuple(p for p in every if group[0] == "s" or inversions(p) % 2 == 0)


def inversions(permutation: tuple[int, ...]) -> int:
    """Count the pairs that stand in the wrong order."""
    pairs = [(a, b) for i, a in enumerate(permutation) for b in permutation[i + 1 :]]
    return sum(a > b for a, b in pairs)


@cache
def multiplication(group: GroupName) -> Int[Tensor, "g g"]:
    """Return the table of products: row the factor that acts first, column the second."""
    points = torch.tensor(elements(group))
    base = points.shape[1] ** torch.arange(points.shape[1])
    keys = (points * base).sum(1)
    square = (len(points), len(points), -1)
    composed = points.expand(square).gather(2, points[:, None].expand(square))
    _, order = keys.sort()
    found: Tensor = order[torch.searchsorted(keys[order], (composed * base).sum(2))]
    return found
