"""Figures of scores and losses: the same records give the same bytes, as PNG and as SVG.

A model has one colour, marker and dash in all figures. No text depends on colour alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy.ndimage import median_filter

from harness.report import units
from harness.report.canvas import (
    Look,
    Picture,
    finished,
    legend_below,
    log_ticks,
    named_rows,
    panels,
    rows_beyond,
)
from harness.results.aggregate import Cell, Group, group_cells
from harness.results.statistics import Floats

MARGIN = 0.05
"""Beyond the possible scores, so that markers at their ends are whole."""
STEPS = 25
"""Points of a loss curve."""


def score_picture(groups: Sequence[Group], look: Mapping[str, Look]) -> Picture | None:
    """Draw scores with their intervals, a panel a task; None if nothing has a score."""
    every = map(group_cells, groups)
    found = [cells for cells in every if any(cell.n for cell in cells)]
    most = max(map(len, found), default=0)
    with panels(len(found), lines=rows_beyond(most)) as (figure, axes):
        for axis, cells in zip(axes, found, strict=True):
            for place, cell in enumerate(cells):
                _score(axis, place, cell, look[cell.model])
            axis.set(title=cells[0].task, xlabel=_mark_known(axis, cells))
            named_rows(axis, [cell.model for cell in cells])
            axis.locator_params(axis="x", nbins=4)
            known = next(cell for cell in cells if cell.n)
            seen = axis.get_xlim()
            axis.set_xlim(possible(seen, known.chance, higher_is_better=known.higher_is_better))
        return finished(
            figure,
            name="scores",
            title="Scores with 95 % intervals",
            alt="The test score of every model on every task. Marker: mean over seeds; bar: its "
            "95 % interval, cut where no score can be; strokes: single seeds; dashed line: chance.",
        )


def possible(
    seen: tuple[float, float], chance: float | None, *, higher_is_better: bool
) -> tuple[float, float]:
    """Cut an axis of scores where none can be: above 1, below 0 of an error or a share.

    Intervals of few seeds are wider than that. What is explained of a variance may be below 0, and
    its chance is 0.
    """
    low, high = seen
    if higher_is_better:
        return (max(low, -MARGIN) if chance else low), min(high, 1 + MARGIN)
    return max(low, -MARGIN), high


def _mark_known(axis: Axes, cells: Sequence[Cell]) -> str:
    """Draw chance and how far the best way around the question comes; return which is which."""
    known = next(cell for cell in cells if cell.n)
    axis.axvline(known.chance or 0.0, color="0.3", lw=1, ls="--", label="_chance")
    told = "dashed: chance" + ("" if known.higher_is_better else ", lower is better")
    way = next((cell.best_shortcut for cell in cells if cell.shortcuts), None)
    if way is not None:
        axis.axvline(way[1], color="0.3", lw=1, ls=":", label=f"_{way[0]}")
        told += f"\ndotted: {way[0]} {units.score(way[1])}"
    return f"{known.metric} ({told})"


def loss_picture(groups: Sequence[Group], look: Mapping[str, Look]) -> Picture | None:
    """Draw training losses over steps, a panel a task; None if nothing was trained."""
    found = [(group, curves) for group in groups if (curves := _losses(group))]
    with panels(len(found)) as (figure, axes):
        for axis, (group, curves) in zip(axes, found, strict=True):
            for model, (steps, losses) in curves.items():
                style, few = look[model], len(steps) // 3
                ends = losses.min(axis=0), losses.max(axis=0)
                axis.fill_between(steps, *ends, color=style.colour, alpha=0.15, lw=0)
                middle = np.median(losses, axis=0)
                axis.plot(steps, middle, **style.line, ms=4, markevery=few, lw=1.4, label=model)
            values = np.concatenate([losses.ravel() for _, losses in curves.values()])
            if values.min() > 0 and values.max() > 10 * values.min():
                axis.set_yscale("log")
                log_ticks(axis.yaxis, "{:g}".format)
            axis.set(title=group.title, xlabel="step", ylabel="training loss")
        legend_below(figure, axes)
        return finished(
            figure,
            name="losses",
            title="Training loss",
            alt="Training loss over steps, as running medians. Line: the median over seeds; area "
            "around it: from the lowest to the highest seed.",
        )


def _write_outcome(axis: Axes, place: int, text: str) -> None:
    """Write in a model's row why it has no score."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    middle = axis.get_yaxis_transform()
    axis.text(0.5, place, text, transform=middle, ha="center", va="center", color="0.4", bbox=box)


def _score(axis: Axes, place: int, cell: Cell, style: Look) -> None:
    """Draw a model's score in its row, or write why it has none."""
    if cell.mean is None:
        _write_outcome(axis, place, ", ".join(cell.missing))
        return
    low, high = cell.interval or (cell.mean, cell.mean)
    drawn = (
        ([low, high], "-", "interval"),
        (cell.scores, "|", "seeds"),
        ([cell.mean], style.marker, "mean"),
    )
    for values, form, name in drawn:
        axis.plot(
            values,
            [place] * len(values),
            form,
            color=style.colour,
            lw=2,
            ms=9 if form == "|" else 7,
            label=f"_{cell.model}: {name}",
        )


def _losses(group: Group) -> dict[str, tuple[Floats, Floats]]:
    """Return (steps, losses of each seed at them) of every model that was trained, smoothed."""
    found = {}
    for model, records in group.members.items():
        runs = [
            np.array(r.learned.curve, float).T for r in records if r.learned and r.learned.curve
        ]
        if runs:
            first, last = max(steps[0] for steps, _ in runs), min(steps[-1] for steps, _ in runs)
            steps = np.linspace(first, max(first, last), STEPS).round(1)
            losses = [np.interp(steps, at, _smooth(values)) for at, values in runs]
            found[model] = steps, np.array(losses)
    return found


def _smooth(losses: Floats) -> Floats:
    """Return running medians over a twentieth of a curve."""
    smooth: Floats = median_filter(losses, 2 * max(len(losses) // 40, 1) + 1, mode="nearest")
    return smooth
