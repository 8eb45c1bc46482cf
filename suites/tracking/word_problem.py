"""Multiply in a group at every position: can a state compose, where the order matters?

Source: Merrill, Petty, Sabharwal 2024, "The Illusion of State in State-Space Models", arXiv
2404.08819. The problem of S5 and A5 is complete for NC1; models of fixed depth with diagonal
transitions lie in TC0, as Transformers do.

Axes: b batch, l positions, g elements of the group.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import Batch, one_hot
from suites._options import by_default
from suites.tracking._groups import elements, generators, multiplication, spread
from suites.tracking._running import RunningProduct

ROUNDING = 1e-9
"""Of a share; by less no guess is better than another."""


@final
@dataclass(frozen=True, kw_only=True)
class WordProblem(RunningProduct):
    """y[i] = x[0] x[1] ... x[i], where the left factor acts first."""

    group: str = "s3"
    """All permutations of so many points (`s`), or the even ones (`a`); turns of a polygon with so
    many corners (`c`), or turns and flips (`d`); or a product, such as `a4xc5`: 120 elements."""
    letters: Literal["elements", "generators"] = "elements"
    """What words are made of: any elements, or the identity and a few that make all others, such as
    swaps of neighbours."""

    counted: ClassVar[float] = 0.197

    def __post_init__(self) -> None:
        super().__post_init__()
        elements(self.group)

    @property
    def size(self) -> int:
        """The group's elements."""
        return len(elements(self.group))

    @property
    def chance(self) -> float:
        """The commonest product: all are alike likely, but of few generators."""
        if self.letters == "elements":
            return super().chance
        return spread(self.group, self.length).mean(0).max().item()

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Of generators, what is commonest at each place; and counting them."""
        if self.letters == "elements":
            return super().shortcuts
        usual = spread(self.group, self.length).amax(1).mean().item()
        place = {"usual answer at the place": usual} if usual > self.chance + ROUNDING else {}
        return {**place, **by_default(self, {"boosted trees": 0.261}, "letters", "grows")}

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw words of any length."""
        if self.letters == "elements":
            return super().drawn(n, length, rng)
        chosen = generators(self.group)
        tokens = chosen[torch.randint(len(chosen), (n, length), generator=rng)]
        return Batch(tokens, self.products(tokens))

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
