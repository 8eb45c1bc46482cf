"""The figure of every score at a glance: tasks by models, from chance to perfect."""

from collections import Counter
from itertools import chain

import numpy as np
from matplotlib.axes import Axes

from harness.report import units
from harness.report.canvas import ALONE, PANEL, Picture, finished, panels
from harness.report.heat_figures import COLOURS
from harness.results.aggregate import Cell
from harness.results.ranks import Rows

FEWEST = 3
"""Tasks, and models that learn, of which a map shows more than the panels of single tasks do."""
FIELD = (0.55, 0.28)
"""Inches of a field."""
NAMES = (3.2, 2.0)
"""Inches for the names of tasks, at the left, and of models, below."""


def map_picture(rows: Rows) -> Picture | None:
    """Draw the mean of every model on every task; None of few tasks or models."""
    tasks = sorted(task for task, cells in rows.items() if any(cell.n for cell in cells))
    stand = Counter(cell.model for task in tasks for cell in rows[task] if cell.parameters != 0)
    models = sorted(model for model, count in stand.items() if count > 1)
    enough = len(tasks) >= FEWEST <= len(models)
    with panels(int(enough)) as (figure, axes):
        for axis in axes:
            width = max(PANEL[0] * ALONE, FIELD[0] * len(models) + NAMES[0])
            figure.set_size_inches(width, FIELD[1] * len(tasks) + NAMES[1])
            _map(axis, {(c.task, c.model): c for c in chain(*rows.values())}, tasks, models)
        return finished(
            figure,
            name="map",
            title="Every score at a glance",
            alt="The mean test score of every model on every task, coloured from chance to "
            "perfect. In brackets: no point above chance and the shortcuts. An empty field was not "
            "run, a dash has no score. Models of one task alone are left out.",
        )


def _map(
    axis: Axes, cells: dict[tuple[str, str], Cell], tasks: list[str], models: list[str]
) -> None:
    found = [[cells.get((task, model)) for model in models] for task in tasks]
    shares = np.array([[share(cell) for cell in row] for row in found], dtype=np.float64)
    axis.pcolormesh(shares, cmap=COLOURS, vmin=0, vmax=1, edgecolors="white", lw=1)
    for (row, column), value in np.ndenumerate(shares):
        cell = found[row][column]
        if cell is None:
            continue
        axis.text(
            column + 0.5,
            row + 0.5,
            written(cell),
            ha="center",
            va="center",
            fontsize="small",
            color="black" if not value <= 0.5 else "white",
        )
    for task, line in zip(tasks, shares, strict=True):  # the numbers behind the fields
        axis.plot(np.arange(len(models)), line, visible=False, label=f"_{task}")
    axis.set(xlim=(0, len(models)), ylim=(len(tasks), 0), title="from chance to perfect")
    axis.set_xticks(np.arange(len(models)) + 0.5, models, rotation=45, ha="right")
    axis.set_yticks(np.arange(len(tasks)) + 0.5, tasks)
    axis.grid(visible=False)


def share(cell: Cell | None) -> float:
    """Return how far a mean is from chance (0) to perfect (1), within both; NaN if there is none.

    Perfect is what oracles score: 1, or 0 of an error.
    """
    if cell is None or cell.mean is None:
        return np.nan
    perfect, chance = float(cell.higher_is_better), cell.chance or 0.0
    whole = perfect - chance
    return float(np.clip((cell.mean - chance) / whole, 0, 1)) if whole else np.nan


def written(cell: Cell) -> str:
    """Write a mean with two decimals, in brackets if it is no answer."""
    if cell.mean is None:
        return units.DASH
    text = units.score(cell.mean, 2)
    return text if cell.answers else f"({text})"
