"""Say where a chaotic system goes next, which is looked at after steps of ever other lengths.

Systems of Lorenz 1963, Roessler 1976 and Lorenz 1996 with their usual parameters. They are
integrated here by Runge and Kutta's method of fourth order, and by the oracle with SciPy's DOP853.

Axes: b batch, l positions, d coordinates, s coordinates that are asked.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from torch import Tensor

from harness.api import (
    Batch,
    Evaluation,
    GeneratedTask,
    Protocol,
    Signal,
    SpecError,
    Split,
    Values,
    stream,
)
from suites._options import by_default, within

Array = npt.NDArray[np.float64]
SUBSTEPS = 12
"""Of the integration, in a step of usual length."""
NEAR = 0.02
"""How far a start may lie from a known point of the attractor, in spreads of each coordinate."""
INSIDE = 0.3
"""How far from its middle paths start towards the attractor; from farther off some never come."""
AHEAD = 8
"""Batches that are drawn together: many paths take hardly longer than few."""
STARTS, APART, SETTLED = 256, 16, 200
"""Paths, known points of each, and usual steps until a path has come to the attractor."""


@final
@dataclass(frozen=True)
class System:
    """A system of differential equations."""

    flow: Callable[[Array], Array]
    """The derivative of (d, ...) coordinates."""
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    """Of each coordinate on the attractor, roughly, by which inputs are scaled."""
    step: float
    """The usual time from one look to the next."""

    def scaled(self, x: Array) -> Array:
        """Return (d, ...) coordinates around 0, with a spread of about 1."""
        return (x - column(self.mean, x)) / column(self.spread, x)

    def unscaled(self, x: Array) -> Array:
        """Return the coordinates themselves."""
        return x * column(self.spread, x) + column(self.mean, x)


@final
@dataclass(frozen=True, kw_only=True)
class Chaotic(GeneratedTask):
    """x(t_0) and t_1 - t_0, x(t_1) and t_2 - t_1, ...; asked at each place is x(t_{i + 1}).

    Only the first coordinate is shown and asked, but the first position has all of them, so that
    the path is determined. The others are zero from there on.
    """

    system: Literal["lorenz", "roessler", "lorenz96"] = "lorenz"
    """Three coordinates, three, or eight on a ring."""
    shown: Literal["first", "all"] = "first"
    """Whether only the first coordinate is shown and asked: then the others must be carried."""
    length: int = 64
    """Positions."""
    uneven: float = 0.8
    """How far a step may be shorter or longer than the usual one; 0: all are alike."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 256, "validation": 256, "test": 512}
    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=32, width=64, depth=2)

    def __post_init__(self) -> None:
        within("length", self.length, 2, 4096)
        if not 0 <= self.uneven < 1:
            raise SpecError(
                f"The option 'uneven' must be from 0 to below 1, not {self.uneven}: a step must "
                "not go back in time."
            )

    @property
    def equations(self) -> System:
        """The system."""
        return SYSTEMS[self.system]

    @property
    def coordinates(self) -> int:
        """Of a state."""
        return len(self.equations.mean)

    @property
    def asked(self) -> int:
        """Coordinates that are shown all along, and asked."""
        return 1 if self.shown == "first" else self.coordinates

    @property
    def inputs(self) -> Signal:
        """The coordinates, and the time until the next look in usual steps."""
        return Signal(self.coordinates + 1)

    @property
    def outputs(self) -> Values:
        """Coordinates at the next look."""
        return Values(self.asked, self.length)

    @property
    def max_length(self) -> int:
        """The looks; further evaluations have more."""
        return self.length

    @property
    def causal(self) -> bool:
        """What comes is predicted from what was."""
        return True

    @property
    def chance(self) -> float:
        """The mean."""
        return 0.0

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What was measured."""
        return by_default(self, MEASURED)

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:
        """Let everything stay as it is."""
        return {"persistence": batch.inputs[..., : self.asked]}

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw paths from starts near the attractor."""
        return self.drawn(n, self.length, rng)

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Yield fresh paths without end."""
        for some in super().train_batches(AHEAD * size, draw):
            yield from (some[start : start + size] for start in range(0, AHEAD * size, size))

    def drawn(self, n: int, length: int, rng: torch.Generator, slower: float = 1.0) -> Batch:
        """Draw paths.

        Args:
            n: How many.
            length: Looks; at most the last `length` of the task are asked.
            rng: A CPU generator.
            slower: How many times longer than the usual ones steps are.
        """
        known = torch.from_numpy(attractor(self.system))
        point = known[:, torch.randint(known.shape[1], (n,), generator=rng)]
        aside = 2 * torch.rand(point.shape, generator=rng, dtype=torch.float64) - 1
        lots = torch.rand(n, length, generator=rng, dtype=torch.float64)
        # What is shown is rounded, so the path starts from there and takes just these steps.
        steps = (slower * (1 + self.uneven * (2 * lots - 1))).float()
        path = [(point + NEAR * aside).float().double().numpy()]
        x = self.equations.unscaled(path[0])
        for step in steps.double().unbind(1):
            times = self.equations.step * step.numpy()
            x = advanced(self.equations.flow, x, times, round(SUBSTEPS * max(1, slower)))
            path.append(self.equations.scaled(x))
        states = torch.from_numpy(np.stack(path)).permute(2, 0, 1).float()
        shown = states[:, :-1].clone()
        shown[:, 1:, self.asked :] = 0
        targets = states[:, 1:, : self.asked][:, -self.length :].contiguous()
        return Batch(torch.cat([shown, steps[..., None]], 2), targets)

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask behind twice and four times as many looks, and after steps of half and twice."""

        def made(name: str, length: int, slower: float) -> Evaluation:
            rng = stream(self.name, self.version, name)
            return Evaluation(self.drawn(256, length, rng, slower))

        sets = {f"length-{f * self.length}": (f * self.length, 1.0) for f in (2, 4)}
        sets |= {f"steps-{slower:g}": (self.length, slower) for slower in (0.5, 2.0)}
        return {name: partial(made, name, *values) for name, values in sets.items()}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l s"]:
        """Follow the flow from the first position on, path by path, with a finer method."""
        found = []
        for row in batch.inputs.double().numpy():
            times = self.equations.step * row[:, -1].cumsum()
            solved = solve_ivp(
                lambda _, x: self.equations.flow(x),
                (0, times[-1]),
                self.equations.unscaled(row[0, :-1]),
                method="DOP853",
                t_eval=times,
                rtol=1e-10,
                atol=1e-10,
            )
            found.append(self.equations.scaled(solved.y)[: self.asked].T)
        return torch.from_numpy(np.stack(found)).float()[:, -self.length :]


def lorenz(x: Array) -> Array:
    """Return the derivative of Lorenz's model of convection."""
    moved = np.empty_like(x)
    moved[0] = 10 * (x[1] - x[0])
    moved[1] = x[0] * (28 - x[2]) - x[1]
    moved[2] = x[0] * x[1] - 8 / 3 * x[2]
    return moved


def roessler(x: Array) -> Array:
    """Return the derivative of Roessler's system."""
    moved = np.empty_like(x)
    moved[0] = -x[1] - x[2]
    moved[1] = x[0] + 0.2 * x[1]
    moved[2] = 0.2 + x[2] * (x[0] - 5.7)
    return moved


def lorenz96(x: Array) -> Array:
    """Return the derivative of Lorenz's ring of eight places, driven by 8."""
    after, before, farther = (x[RING - shift] for shift in (7, 1, 2))
    return (after - farther) * before - x + 8


RING = np.arange(8)
SYSTEMS: Mapping[str, System] = {
    "lorenz": System(lorenz, (0.0, 0.0, 23.5), (7.9, 9.0, 8.6), 0.08),
    "roessler": System(roessler, (0.2, -0.9, 0.9), (5.1, 4.7, 2.8), 0.5),
    "lorenz96": System(lorenz96, 8 * (2.4,), 8 * (3.6,), 0.05),
}
MEASURED = {"persistence": 0.803, "boosted trees": 0.921}
"""What is reached at the default options."""


def advanced(flow: Callable[[Array], Array], x: Array, time: Array, count: int) -> Array:
    """Go on by a time of each path's own, in so many steps of Runge and Kutta's method.

    Args:
        flow: The derivative.
        x: (d, b), where the paths are.
        time: (b,)
        count: Steps.
    """
    step = time / count
    half, sixth = step / 2, step / 6
    for _ in range(count):
        a = flow(x)
        b = flow(x + half * a)
        c = flow(x + half * b)
        d = flow(x + step * c)
        x = x + sixth * (a + 2 * (b + c) + d)
    return x


@cache
def attractor(name: str) -> Array:
    """Return points of a system's attractor, scaled: (d, points), the same on every machine."""
    system = SYSTEMS[name]
    # Uniform numbers and sums alone: the last bit of a logarithm, as normal ones need, would grow.
    lots = torch.rand(
        len(system.mean), STARTS, generator=stream("attractor", name), dtype=torch.float64
    )
    x, found = system.unscaled(INSIDE * (2 * lots.numpy() - 1)), []
    usual = np.full(STARTS, system.step)
    for look in range(SETTLED + 10 * APART):
        x = advanced(system.flow, x, usual, SUBSTEPS)
        if look >= SETTLED and look % 10 == 0:
            found.append(system.scaled(x))
    return np.concatenate(found, 1)


def column(values: tuple[float, ...], x: Array) -> Array:
    """Lay a number for each coordinate along the axes of x."""
    return np.array(values).reshape(-1, *(1,) * (x.ndim - 1))
