"""The figure of scores over two numbers: of a task's options, or of its further evaluations."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from matplotlib.axes import Axes

from harness.core.config import Option
from harness.report import units
from harness.report.canvas import Picture, finished, panels
from harness.results.aggregate import Group, condition, group_cells
from harness.results.statistics import Floats

COLOURS = "cividis"
"""From blue to yellow, the same to the colour-blind. A dark page turns it round: no caption names
the colours."""
FEWEST = 2
"""Values on each axis."""
PLACE = re.compile(r"([a-z]+)-([\d.]+)-([a-z]+)-([\d.]+)")
"""The name of a further evaluation that has two numbers: length-256-depth-50."""

Place = tuple[float, float]


@dataclass(frozen=True)
class Plane:
    """One task over two numbers, under one condition."""

    task: str
    across: str
    up: str
    means: Mapping[Place, Mapping[str, float]]
    """By the values of the two, and by model."""
    ends: tuple[float, float]
    """Chance and a perfect score, the lower one first: noise around chance has no bright colours,
    and what is nearly perfect everywhere no dark ones."""

    @property
    def axes(self) -> tuple[list[float], list[float]]:
        """The values of both, in order."""
        across, up = zip(*self.means, strict=True)
        return sorted(set(across)), sorted(set(up))

    @property
    def models(self) -> list[str]:
        """Models with two scores or more."""
        every = [model for found in self.means.values() for model in found]
        return sorted({model for model in every if every.count(model) > 1})

    def scores(self, model: str) -> Floats:
        """Return the mean scores of a model, (up, across); NaN where it has none."""
        across, up = self.axes
        found = [[self.means.get((x, y), {}).get(model) for x in across] for y in up]
        return np.array(found, dtype=np.float64)


def planes(groups: Iterable[Group]) -> list[Plane]:
    """Find what has scores over two numbers: tasks that differ in them, and single trained ones."""
    learned = [group for group in groups if not group.sweep]
    found = [*_over_options(learned), *_over_evaluations(learned)]
    return [plane for plane in found if all(len(values) >= FEWEST for values in plane.axes)]


def _over_options(groups: Iterable[Group]) -> list[Plane]:
    """Find tasks that ran under one condition and differ in two numbers and nothing else."""
    alike: dict[object, list[Group]] = {}
    for group in groups:
        first = group.records[0]
        alike.setdefault((first.task.name, condition(first)), []).append(group)
    found = []
    for members in alike.values():
        options = [group.records[0].task_options for group in members]
        names = sorted({name for each in options for name in each if _varies(name, options)})
        if len(names) != 2 or not all(_number(each.get(n)) for each in options for n in names):
            continue
        across, up = names
        means = {
            (float(each[across]), float(each[up])): {
                cell.model: cell.mean for cell in group_cells(group) if cell.mean is not None
            }
            for each, group in zip(options, members, strict=True)
        }
        found.append(Plane(members[0].records[0].task.name, across, up, means, _ends(members[0])))
    return found


def _over_evaluations(groups: Iterable[Group]) -> list[Plane]:
    """Find tasks whose trained networks were asked further at two numbers."""
    found = []
    for group in groups:
        scores: dict[tuple[str, str], dict[Place, dict[str, list[float]]]] = {}
        for axes, place, model, score in _asked_further(group):
            models = scores.setdefault(axes, {}).setdefault(place, {})
            models.setdefault(model, []).append(score)
        for axes, places in scores.items():
            means = {at: {m: mean(own) for m, own in each.items()} for at, each in places.items()}
            found.append(Plane(group.title, *axes, means, _ends(group)))
    return found


def _asked_further(group: Group) -> Iterator[tuple[tuple[str, str], Place, str, float]]:
    """Yield each score at two numbers: the names of both, their values, the model, the score."""
    for model, records in group.members.items():
        for run in filter(None, (record.learned for record in records)):
            for name, figures in run.scores.items():
                if place := PLACE.fullmatch(name):
                    across, x, up, y = place.groups()
                    yield (across, up), (float(x), float(y)), model, figures[run.metric]


def heat_picture(groups: Iterable[Group]) -> Picture | None:
    """Draw scores over two numbers, a panel a model; None if no task has two axes."""
    drawn = [(plane, model) for plane in planes(groups) for model in plane.models]
    with panels(len(drawn)) as (figure, axes):
        for axis, (plane, model) in zip(axes, drawn, strict=True):
            _map(axis, plane, model)
        return finished(
            figure,
            name="planes",
            title="Scores over two numbers of a task",
            alt="The mean score of a model at every pair of values at which it was run, or asked "
            "further, coloured from chance to perfect. An empty field was not run, or has no "
            "score.",
        )


def _ends(group: Group) -> tuple[float, float]:
    """Return chance and a perfect score, which is 1, or 0 of an error; the lower one first."""
    learned = [record.learned for record in group.records if record.learned]
    found = {(run.chance, float(run.higher_is_better)) for run in learned} or {(0.0, 1.0)}
    low, high = sorted(min(found))
    return low, high


def _varies(name: str, options: Sequence[Mapping[str, Option]]) -> bool:
    return len({each.get(name) for each in options}) > 1


def _number(value: Option | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _map(axis: Axes, plane: Plane, model: str) -> None:
    (across, up), scores = plane.axes, plane.scores(model)
    low, high = plane.ends
    axis.pcolormesh(scores, cmap=COLOURS, vmin=low, vmax=high, edgecolors="white", lw=2)
    for (row, column), score in np.ndenumerate(scores):
        if np.isfinite(score):
            light = score - low > (high - low) / 2
            place = column + 0.5, row + 0.5
            axis.text(
                *place,
                units.score(score),
                ha="center",
                va="center",
                color="black" if light else "white",
            )
    for value, line in zip(up, scores, strict=True):  # the numbers behind the fields
        axis.plot(across, line, visible=False, label=f"_{plane.up}={value:g}")
    axis.set(
        title=f"{model} on {plane.task}",
        xlabel=plane.across,
        ylabel=plane.up,
        xlim=(0, len(across)),
        ylim=(0, len(up)),
    )
    axis.set_xticks(np.arange(len(across)) + 0.5, [f"{value:g}" for value in across])
    axis.set_yticks(np.arange(len(up)) + 0.5, [f"{value:g}" for value in up])
    axis.grid(visible=False)
