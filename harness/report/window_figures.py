"""The figure of sweeps: validation scores over what was swept, and where a model learns at all."""

from collections.abc import Mapping, Sequence
from operator import itemgetter

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from harness.core.config import show
from harness.core.record import Swept, Trial
from harness.report.canvas import Look, Picture, finished, legend_below, panels
from harness.results.aggregate import Cell
from harness.results.ranks import Rows


def window_picture(rows: Rows, look: Mapping[str, Look]) -> Picture | None:
    """Draw scores over each number that was swept, a panel a task and number; None without any."""
    found = {
        (task, name): [cell for cell in cells if len(_line(cell, name)) > 1]
        for task, cells in rows.items()
        for name in dict.fromkeys(each for cell in cells for each in _names(cell))
    }
    drawn = {key: cells for key, cells in found.items() if cells}
    with panels(len(drawn)) as (figure, axes):
        for axis, ((task, name), cells) in zip(axes, drawn.items(), strict=True):
            for cell in cells:
                _window(axis, cell, name, look[cell.model])
            values = sorted({at for cell in cells for at, _, _ in _line(cell, name)})
            axis.axhline(cells[0].chance or 0.0, color="0.3", lw=1, ls="--", label="_chance")
            if values[0] > 0:
                axis.set_xscale("log")
            axis.set_xticks(values, [show(value) for value in values])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set(title=task, xlabel=name, ylabel=f"{cells[0].metric} on validation")
        legend_below(figure, axes)
        return finished(
            figure,
            name="windows",
            title="Where models learn",
            alt="The validation score over each number that was swept, all else as chosen. Filled: "
            "beats chance, hollow: does not; broad: the window around the chosen value, which has "
            "a ring; dashed line: chance. A trial without a score has no marker.",
        )


def _names(cell: Cell) -> Sequence[str]:
    """Return what was swept and is a number."""
    chosen = cell.swept.chosen if cell.swept else {}
    return [name for name, value in chosen.items() if not isinstance(value, str | bool)]


def _line(cell: Cell, name: str) -> list[tuple[float, float, Trial]]:
    """Return (value, score, trial) over one number, of the trials with all else as chosen."""
    swept = cell.swept or Swept(chosen={}, trials=[])
    if name not in swept.chosen:
        return []
    rest = {**swept.chosen, name: None}
    line = [each for each in swept.trials if {**each.values, name: None} == rest]
    known = [
        (float(each.values[name]), each.validation, each)
        for each in line
        if each.validation is not None
    ]
    return sorted(known, key=itemgetter(0))


def _window(axis: Axes, cell: Cell, name: str, style: Look) -> None:
    assert cell.swept is not None
    line = _line(cell, name)
    places = [(at, score) for at, score, _ in line]
    axis.plot(*zip(*places, strict=True), color=style.colour, ls=style.dash, lw=1.4)
    axis.lines[-1].set_label(f"_{cell.model}")
    if name in cell.swept.windows:
        low, high = cell.swept.windows[name]
        inside = [place for place in places if low <= place[0] <= high]
        axis.plot(*zip(*inside, strict=True), color=style.colour, lw=7, alpha=0.25)
    for at, score, trial in line:
        face = style.colour if trial.learned else "white"
        axis.plot(at, score, style.marker, color=style.colour, mfc=face, ms=6)
        if trial.values == cell.swept.chosen:
            axis.plot(at, score, "o", ms=12, mfc="none", mec="0.2")
    axis.plot([], [], **style.line, label=cell.model)
