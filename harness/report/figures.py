"""Figures of cells and series: the same records give the same bytes, as PNG and as SVG.

A model has one colour and one marker in all figures of a report. No text depends on colour alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from harness.report import units
from harness.report.canvas import (
    Look,
    Picture,
    finished,
    legend_below,
    legend_under,
    panels,
    tick,
)
from harness.report.crossing import Crossover
from harness.report.scaling import Point, Series, power_law
from harness.report.tables import exponent
from harness.results.aggregate import Cell, Group, group_cells
from harness.results.statistics import Floats

Quantity = Callable[[Point], float | None]
SECONDS: Quantity = attrgetter("seconds")
BYTES: Quantity = attrgetter("delta_bytes")


def score_picture(groups: Sequence[Group], look: Mapping[str, Look]) -> Picture | None:
    """Draw scores with their intervals, a panel a task; None if nothing has a score."""
    every = map(group_cells, groups)
    found = [cells for cells in every if any(cell.n for cell in cells)]
    with panels(len(found)) as (figure, axes):
        for axis, cells in zip(axes, found, strict=True):
            for place, cell in enumerate(cells):
                style = look[cell.model]
                if cell.mean is None:
                    _write_outcome(axis, place, ", ".join(cell.missing))
                    continue
                low, high = cell.interval or (cell.mean, cell.mean)
                axis.plot([low, high], [place, place], color=style.colour, lw=2)
                axis.plot(cell.scores, [place] * cell.n, "|", color=style.colour, ms=9, alpha=0.7)
                axis.plot(cell.mean, place, style.marker, color=style.colour, ms=7)
            axis.set(title=cells[0].task, xlabel=_mark_known(axis, cells))
            axis.set_yticks(range(len(cells)), [cell.model for cell in cells])
            axis.set_ylim(len(cells) - 0.5, -0.5)
        return finished(
            figure,
            name="scores",
            title="Scores with 95 % intervals",
            alt="Dots with intervals: the test score of every model on every task, beside chance.",
        )


def _mark_known(axis: Axes, cells: Sequence[Cell]) -> str:
    """Draw chance and how far the best way around the question comes; return which is which."""
    known = next(cell for cell in cells if cell.n)
    axis.axvline(known.chance or 0.0, color="0.3", lw=1, ls="--")
    told = "dashed: chance" + ("" if known.higher_is_better else ", lower is better")
    way = next((cell.best_shortcut for cell in cells if cell.shortcuts), None)
    if way is not None:
        axis.axvline(way[1], color="0.3", lw=1, ls=":")
        told += f"\ndotted: {way[0]} {units.score(way[1])}"
    return f"{known.metric} ({told})"


def loss_picture(groups: Sequence[Group], look: Mapping[str, Look]) -> Picture | None:
    """Draw training losses over steps, a panel a task; None if nothing was trained."""
    found = [(group, curves) for group in groups if (curves := _curves(group))]
    with panels(len(found)) as (figure, axes):
        for axis, (group, curves) in zip(axes, found, strict=True):
            for model, steps, losses in curves:
                axis.plot(steps, losses, color=look[model].colour, lw=0.6, alpha=0.25)
                axis.plot(steps, _smooth(losses), color=look[model].colour, lw=1.6, label=model)
            values = np.concatenate([losses for _, _, losses in curves])
            if values.min() > 0 and values.max() > 10 * values.min():
                axis.set_yscale("log")
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.yaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_minor_locator(NullLocator())
            axis.set(title=group.title, xlabel="step", ylabel="training loss")
        legend_below(figure, axes)
        return finished(
            figure,
            name="losses",
            title="Training loss",
            alt="Lines: the training loss of every run over its steps, smoothed over the raw one.",
        )


def time_picture(
    sweeps: Mapping[str, Sequence[Series]],
    found: Sequence[Crossover],
    look: Mapping[str, Look],
    where: str,
) -> Picture | None:
    """Draw seconds against length with exponents and crossovers; None if nothing was measured.

    Args:
        sweeps: Series by task.
        found: Who overtakes whom.
        look: Colours and markers of the models.
        where: The device, as a title goes on: ` on CUDA`; empty for a CPU.
    """
    drawn = _measured(sweeps, SECONDS)
    with panels(len(drawn), legend=_most_models(drawn)) as (figure, axes):
        for axis, (task, several) in zip(axes, drawn.items(), strict=True):
            _growth(axis, several, look, SECONDS)
            _mark_crossings(axis, [each for each in found if each.task == task], several)
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: tick(units.seconds(y))))
            axis.set(title=task, ylabel="median time of a call")
            legend_under(axis)
        return finished(
            figure,
            name=file_name(f"time{where}"),
            title=f"Time against length{where}",
            alt="Lines on log axes: time of a call over length, rings where two models cross.",
        )


def memory_picture(
    sweeps: Mapping[str, Sequence[Series]], look: Mapping[str, Look], where: str
) -> Picture | None:
    """Draw memory above idle against length with exponents; None if nothing was measured."""
    drawn = _measured(sweeps, BYTES)
    with panels(len(drawn), legend=_most_models(drawn)) as (figure, axes):
        for axis, (task, several) in zip(axes, drawn.items(), strict=True):
            _growth(axis, several, look, BYTES)
            axis.yaxis.set_major_locator(LogLocator(base=2, numticks=9))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: tick(units.memory(y))))
            axis.set(title=task, ylabel="peak memory above idle")
            legend_under(axis)
        return finished(
            figure,
            name=file_name(f"memory{where}"),
            title=f"Memory against length{where}",
            alt="Lines on log axes: the peak memory that a call adds, over length.",
        )


def file_name(text: str) -> str:
    """Return a text as a file may be called: `time on NVIDIA H200` as `time-on-nvidia-h200`."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


def _write_outcome(axis: Axes, place: int, text: str) -> None:
    """Write in a model's row why it has no score."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    middle = axis.get_yaxis_transform()
    axis.text(0.5, place, text, transform=middle, ha="center", va="center", color="0.4", bbox=box)


def _curves(group: Group) -> list[tuple[str, Floats, Floats]]:
    """Return (model, steps, losses) of every run of a group that was trained."""
    names = group.labels
    runs = [(names[r.spec.asked], r.learned.curve) for r in group.records if r.learned]
    return [(name, *np.array(curve, dtype=float).T) for name, curve in sorted(runs) if curve]


def _smooth(losses: Floats) -> Floats:
    """Return running medians over a twentieth of a curve."""
    reach = max(len(losses) // 40, 1)
    windows = (losses[max(at - reach, 0) : at + reach + 1] for at in range(len(losses)))
    return np.array([np.median(window) for window in windows])


def _most_models(drawn: Mapping[str, Sequence[Series]]) -> int:
    return max(map(len, drawn.values()), default=0)


def _measured(
    sweeps: Mapping[str, Sequence[Series]], quantity: Quantity
) -> dict[str, Sequence[Series]]:
    """Return the sweeps that have something to draw: at two lengths or more of some model."""
    return {
        task: several
        for task, several in sweeps.items()
        if any(len(list(filter(quantity, each.points))) > 1 for each in several)
    }


def _growth(
    axis: Axes,
    several: Sequence[Series],
    look: Mapping[str, Look],
    quantity: Quantity,
) -> None:
    """Draw a quantity of several models over length on log axes, exponents in the legend.

    A marker is hollow where other work disturbed the time.
    """
    busy = False
    for each in several:
        every = [(point.at, quantity(point)) for point in each.points]
        known = [(length, value) for length, value in every if value]
        quiet = [(p.at, quantity(p)) for p in each.points if quantity is BYTES or not p.disturbed]
        law = power_law(quiet)
        label = f"{each.model}: ~ L^{exponent(law)}" if law and law.settled else each.model
        if not known:
            label += ": not run"
        elif len(known) < len(every):
            label += f", to {known[-1][0]:,}"
        style = look[each.model]
        axis.plot(
            [length for length, _ in known],
            [value for _, value in known],
            f"-{style.marker}",
            color=style.colour,
            label=label,
        )
        hollow = [(at, value) for at, value in known if (at, value) not in quiet]
        if hollow:
            axis.plot(*zip(*hollow, strict=True), style.marker, mfc="white", mec=style.colour)
            busy = True
    if busy:
        axis.plot([], [], "o", mfc="white", mec="0.2", label="hollow: the machine was busy")
    lengths = sorted({point.at for each in several for point in each.points})
    axis.set(xscale="log", yscale="log", xlabel="length")
    axis.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_minor_locator(NullLocator())


def _mark_crossings(axis: Axes, found: Sequence[Crossover], several: Sequence[Series]) -> None:
    """Put a ring where one model overtakes another."""
    curves = {each.model: each.points for each in several}
    label = "one overtakes another"
    for crossing in found:
        if crossing.length is None or crossing.reason:
            continue
        known = [(p.at, p.quiet_seconds) for p in curves[crossing.faster] if p.quiet_seconds]
        lengths, heights = np.log(known).T
        height = np.exp(np.interp(np.log(crossing.length), lengths, heights))
        axis.plot(
            crossing.length, height, "o", ms=11, mfc="none", mec="0.2", ls="none", label=label
        )
        label = "_"  # the legend explains a ring once
