"""Predict a function's next value from pairs seen so far: learning within one sequence.

Source: Garg et al. 2022, "What Can Transformers Learn In-Context?", arXiv 2208.01066. There a point
and its value are two positions; here each position holds a point and the value of the one before,
so every position is asked.

Axes: b batch, l points, d dimensions, h hidden units.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import Batch, Evaluation, GeneratedTask, Protocol, Signal, Split, Values, stream
from suites._options import by_default, within

KEPT = 0.25
"""Share of the dimensions that a sparse function looks at."""
HIDDEN = 32
"""Units of a network."""
LEVELS = 3
"""Questions that a tree asks on the way to a value."""
PENALTY = {"linear": 1e-6, "sparse": 1e-6, "network": 8.0, "tree": 20.0}
"""Of ridge regression: hardly any where a linear function fits."""
SOLVED = {"linear": 0.858, "sparse": 0.86, "network": 0.244, "tree": 0.092}
"""What ridge regression reaches at the default options."""


@final
@dataclass(frozen=True, kw_only=True)
class InContext(GeneratedTask):
    """x_0 0, x_1 f(x_0), x_2 f(x_1), ... of normal points and a new function f a sequence.

    Values have mean 0 and variance 1 over functions.
    """

    function: Literal["linear", "sparse", "network", "tree"] = "linear"
    """Linear in all or in a quarter of the dimensions, a network of two layers, a decision tree."""
    dimensions: int = 8
    """Of a point."""
    points: int = 32
    """In a sequence."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 512, "validation": 512, "test": 2048}
    protocol: ClassVar[Protocol] = Protocol(steps=3000, batch=64, width=64, depth=2)

    def __post_init__(self) -> None:
        within("dimensions", self.dimensions, 1, 1024)
        within("points", self.points, 2)

    @property
    def inputs(self) -> Signal:
        """A point, and the value of the one before."""
        return Signal(self.dimensions + 1)

    @property
    def outputs(self) -> Values:
        """The value of every point."""
        return Values(1, self.points)

    @property
    def max_length(self) -> int:
        """The points."""
        return self.points

    @property
    def causal(self) -> bool:
        """A value is predicted from what came before."""
        return True

    @property
    def chance(self) -> float:
        """The mean."""
        return 0.0

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Ridge regression over the pairs so far: the best there is for `linear`."""
        return by_default(self, {"ridge regression": SOLVED[self.function]}, "function")

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:
        """Fit a linear function to the pairs before each point, the shortest that fits well."""
        points, values = batch.inputs[..., :-1].double(), batch.inputs[:, 1:, -1:].double()
        penalty = PENALTY[self.function] * torch.eye(self.dimensions, dtype=torch.float64)
        guesses = [torch.zeros(len(batch), 1, dtype=torch.float64)]
        for count in range(1, self.points):
            seen = points[:, :count].mT
            weights = torch.linalg.solve(seen @ seen.mT + penalty, seen @ values[:, :count])
            guesses.append((points[:, count : count + 1] @ weights)[..., 0])
        return {"ridge regression": torch.stack(guesses, 1).float()}

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw functions, each with points of its own."""
        return self.drawn(n, self.points, rng)

    def drawn(self, n: int, count: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any number of points, of which at most the last `points` are asked."""
        points = torch.randn(n, count, self.dimensions, generator=rng)
        draw = {"linear": linear, "sparse": sparse, "network": network, "tree": tree}
        # Sums in double precision are the same on every machine once they are rounded.
        values = draw[self.function](points.double(), rng)[..., None].float()
        before = torch.cat([torch.zeros(n, 1, 1), values[:, :-1]], 1)
        return Batch(torch.cat([points, before], 2), values[:, -self.points :])

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask with a quarter and half of the points, and behind the longest of the training."""

        def made(count: int) -> Evaluation:
            rng = stream(self.name, self.version, "points", count)
            return Evaluation(self.drawn(512, count, rng))

        counts = sorted({max(1, self.points // 4), self.points // 2, 2 * self.points})
        return {f"points-{count}": partial(made, count) for count in counts}


def linear(points: Float[Tensor, "b l d"], rng: torch.Generator) -> Float[Tensor, "b l"]:
    """Multiply with normal weights."""
    weights = torch.randn(points.shape[0], 1, points.shape[2], generator=rng, dtype=torch.float64)
    value: Tensor = (points * weights).sum(2) / points.shape[2] ** 0.5
    return value


def sparse(points: Float[Tensor, "b l d"], rng: torch.Generator) -> Float[Tensor, "b l"]:
    """Multiply with normal weights, of which only some are not zero."""
    n, _, size = points.shape
    kept = max(1, round(KEPT * size))
    mask = torch.rand(n, size, generator=rng, dtype=torch.float64).argsort(1) < kept
    weights = torch.randn(n, size, generator=rng, dtype=torch.float64) * mask
    value: Tensor = (points * weights[:, None]).sum(2) / kept**0.5
    return value


def network(points: Float[Tensor, "b l d"], rng: torch.Generator) -> Float[Tensor, "b l"]:
    """Send points through a layer of rectified units, and add them up with normal weights."""
    n, _, size = points.shape
    inner = torch.randn(n, size, HIDDEN, generator=rng, dtype=torch.float64) / size**0.5
    outer = torch.randn(n, HIDDEN, 1, generator=rng, dtype=torch.float64) / (HIDDEN / 2) ** 0.5
    value: Tensor = ((points @ inner).relu() @ outer)[..., 0]
    return value


def tree(points: Float[Tensor, "b l d"], rng: torch.Generator) -> Float[Tensor, "b l"]:
    """Ask at each node for the sign of one dimension; leaves have normal values."""
    n, count, size = points.shape
    asked = torch.randint(size, (n, 2**LEVELS), generator=rng)
    leaves = torch.randn(n, 2**LEVELS, generator=rng, dtype=torch.float64)
    node = torch.ones(n, count, dtype=torch.long)
    for _ in range(LEVELS):
        place = asked.gather(1, node)
        node = 2 * node + (points.gather(2, place[..., None])[..., 0] > 0)
    return leaves.gather(1, node - 2**LEVELS)
