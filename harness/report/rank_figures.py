"""The figures of who wins over several tasks, and at what cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from harness.report import units
from harness.report.canvas import (
    Look,
    Picture,
    finished,
    legend_below,
    log_ticks,
    panels,
    rows_beyond,
)
from harness.report.ranks import train_s
from harness.results.aggregate import Cell
from harness.results.ranks import Ranking, Rows, front, headways, ranking


def rank_picture(rows: Rows, look: Mapping[str, Look]) -> Picture | None:
    """Draw average ranks with half the critical difference to either side; None without ranks."""
    found = ranking(rows)
    count = len(found.models) if found else 0
    with panels(int(count > 0), lines=rows_beyond(count)) as (figure, axes):
        if found:
            _ranks(axes[0], found, look)
        return finished(
            figure,
            name="ranks",
            title="Average ranks with the critical difference",
            alt="Marker: average rank; bar: half the critical difference to either side. Two "
            "models rank apart where their bars do not meet.",
        )


def profile_picture(rows: Rows, look: Mapping[str, Look]) -> Picture | None:
    """Draw on which share of the tasks each model gets how far; None if nobody beats chance."""
    among = ranking(rows)
    reached = headways(rows, among) if among else {}
    drawn = any(reached.values())
    with panels(int(drawn), lines=len(reached) / 2) as (figure, axes):
        if drawn:
            _profiles(axes[0], reached, look)
            legend_below(figure, axes)
        return finished(
            figure,
            name="profiles",
            title="How far models get, on how many tasks",
            alt="Line: the share of tasks on which a model gets at least so far from chance to the "
            "best score of its row.",
        )


def front_picture(rows: Rows, look: Mapping[str, Look]) -> Picture | None:
    """Draw scores against the time of training, with the front, a panel a task; None if none."""
    timed = {
        task: [cell for cell in cells if train_s(cell) and cell.mean is not None]
        for task, cells in rows.items()
    }
    drawn = {task: cells for task, cells in timed.items() if len(cells) > 1}
    with panels(len(drawn)) as (figure, axes):
        for axis, (task, cells) in zip(axes, drawn.items(), strict=True):
            _front(axis, cells, look)
            axis.set(title=task, xlabel="time of training", ylabel=cells[0].metric)
        legend_below(figure, axes)
        return finished(
            figure,
            name="fronts",
            title="Score against time of training",
            alt="Marker: score and training time of a model; the grey line joins those that no "
            "other one beats in less time.",
        )


def _ranks(axis: Axes, found: Ranking, look: Mapping[str, Look]) -> None:
    places = range(len(found.models))
    for place, model, rank in zip(places, found.models, found.ranks, strict=True):
        style, half = look[model], found.critical / 2
        bar, name = [rank - half, rank + half], f"_{model}: critical difference"
        axis.plot(bar, [place, place], color=style.colour, lw=2, label=name)
        axis.plot(rank, place, style.marker, color=style.colour, ms=7, label=f"_{model}")
    axis.set(
        title=f"Over {len(found.tasks)} rows of scores",
        xlabel="average rank (1: the best of each row)",
        ylim=(len(found.models) - 0.5, -0.5),
    )
    axis.set_yticks(places, found.models)


def _profiles(axis: Axes, reached: Mapping[str, Sequence[float]], look: Mapping[str, Look]) -> None:
    ways = np.linspace(0, 1, 101)
    for model, shares in reached.items():
        style = look[model]
        heights = (np.array(shares)[:, None] >= ways).mean(axis=0)
        axis.plot(ways, heights, **style.line, markevery=20, label=model)
    rows = len(next(iter(reached.values())))
    axis.set(
        title=f"Over {rows} rows of scores",
        xlabel="way from chance (0) to the row's best (1)",
        ylabel="share of rows",
        ylim=(-0.03, 1.03),
    )


def _front(axis: Axes, cells: Sequence[Cell], look: Mapping[str, Look]) -> None:
    best = front(cells, train_s)
    places = np.array([_place(each) for each in best]).T
    axis.plot(*places, color="0.6", lw=1, label="that none beats at less time")
    for each in cells:
        style = look[each.model]
        axis.plot(*_place(each), style.marker, color=style.colour, ms=7, ls="", label=each.model)
    axis.set_xscale("log")
    log_ticks(axis.xaxis, units.seconds)
    axis.tick_params(axis="x", labelrotation=30)


def _place(cell: Cell) -> tuple[float, float]:
    """Return where a cell that has both stands: time of training and score."""
    return train_s(cell) or 0.0, cell.mean or 0.0
