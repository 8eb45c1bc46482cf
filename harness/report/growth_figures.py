"""Figures of time and memory against length: the same records give the same bytes."""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from harness.report import units
from harness.report.canvas import Look, Picture, finished, legend_under, log_ticks, panels
from harness.report.crossing import Crossover
from harness.report.scaling import Point, Series, power_law
from harness.report.tables import exponent

Quantity = Callable[[Point], float | None]
SECONDS: Quantity = attrgetter("seconds")
BYTES: Quantity = attrgetter("delta_bytes")


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
    with panels(len(drawn), lines=_most_models(drawn)) as (figure, axes):
        for axis, (task, several) in zip(axes, drawn.items(), strict=True):
            _growth(axis, several, look, SECONDS)
            _mark_crossings(axis, [each for each in found if each.task == task], several)
            log_ticks(axis.yaxis, units.seconds)
            axis.set(title=task, ylabel="median time of a call")
            legend_under(axis)
        return finished(
            figure,
            name=file_name(f"time{where}"),
            title=f"Time against length{where}",
            alt="Time of a call over length, on log axes. Marker: the median; bar: its 95 % "
            "interval, or of several processes from the lowest to the highest; ring: two models "
            "cross. ~ L^a: how it grows, with the 95 % interval of a.",
        )


def memory_picture(
    sweeps: Mapping[str, Sequence[Series]], look: Mapping[str, Look], where: str
) -> Picture | None:
    """Draw memory above idle against length with exponents; None if nothing was measured."""
    drawn = _measured(sweeps, BYTES)
    with panels(len(drawn), lines=_most_models(drawn)) as (figure, axes):
        for axis, (task, several) in zip(axes, drawn.items(), strict=True):
            _growth(axis, several, look, BYTES)
            log_ticks(axis.yaxis, units.memory, base=2)
            axis.set(title=task, ylabel="peak memory above idle")
            legend_under(axis)
        return finished(
            figure,
            name=file_name(f"memory{where}"),
            title=f"Memory against length{where}",
            alt="The peak memory that a call adds, over length, on log axes. ~ L^b: how it grows, "
            "with the 95 % interval of b.",
        )


def file_name(text: str) -> str:
    """Return a text as a file may be called: `time on NVIDIA H200` as `time-on-nvidia-h200`."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


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
            **style.line,
            label=label,
        )
        if quantity is SECONDS:
            _error_bars(axis, each, style)
        hollow = [(at, value) for at, value in known if (at, value) not in quiet]
        if hollow:
            axis.plot(*zip(*hollow, strict=True), style.marker, mfc="white", mec=style.colour)
            busy = True
    if busy:
        axis.plot([], [], "o", mfc="white", mec="0.2", label="hollow: the machine was busy")
    lengths = sorted({point.at for each in several for point in each.points})
    axis.set(xscale="log", yscale="log", xlabel="length")
    turned = 30 if len(lengths) > 5 else 0
    axis.set_xticks(lengths, [f"{length:,}" for length in lengths], rotation=turned)
    axis.xaxis.set_minor_locator(NullLocator())


def _error_bars(axis: Axes, each: Series, style: Look) -> None:
    """Draw the interval of every median time."""
    bars = [(p.at, interval) for p in each.points if (interval := p.seconds_interval)]
    if bars:
        at = np.repeat([length for length, _ in bars], 3)
        ends = np.array([(low, high, np.nan) for _, (low, high) in bars]).ravel()
        axis.plot(at, ends, "-", color=style.colour, lw=1, label=f"_{each.model}: interval")
        axis.plot(at, ends, "_", color=style.colour, ms=6)


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
