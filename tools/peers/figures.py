"""Figures of the three tables, drawn as the report draws its own."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from harness.report import units
from harness.report.canvas import Picture, finished, panels

from .rows import MOST_BYTES, MOST_PRODUCTS, UNMEASURED, Line

OURS, THEIRS = sns.color_palette("colorblind")[0], sns.color_palette("colorblind")[1]
TAIL = re.compile(r"\.0+(?= )")
"""Zeros behind the point, which say nothing on an axis."""
NOTHING: Line = {}
SHORTEST = 12
"""Rows that fit into a panel of the usual height."""


def pictures(tables: Mapping[str, Sequence[Line]]) -> Iterator[Picture]:
    """Draw every table that has something to show."""
    for table, draw in {"peers": peers, "long": long, "steps": steps}.items():
        lines = tables.get(table, ())
        tried = [line for line in lines if line["reason"] != UNMEASURED.reason]
        if picture := draw(tried):
            yield picture


def peers(lines: Sequence[Line]) -> Picture | None:
    """Draw ours and the peer's time, and memory, a row a comparison."""
    kinds = [("seconds", "_s", "times_faster", units.seconds, "median time of a call")]
    kinds += [("bytes", "_bytes", "times_lighter", units.memory, "memory that a call adds")]
    with panels(2 if lines else 0, lines=max(0, len(lines) - SHORTEST) + 1) as (figure, axes):
        for axis, (_, ending, gain, write, label) in zip(axes, kinds, strict=False):
            names = [f"{each['ours']}, {each['call']} / {each['peer']}" for each in lines]
            for place, line in enumerate(lines):
                ends = line[f"ours{ending}"], line[f"peer{ending}"]
                couple(axis, place, ends)
                wanted = line[f"wanted_{gain.removeprefix('times_')}"]
                if line[gain]:
                    note(axis, place, told(line[gain], wanted))
            named(axis, names, label, write)
        for axis in axes[1:]:
            axis.set_yticklabels([])
            legend(axes[0], ["ours", "peer"])
        return finished(
            figure,
            name="peers",
            title="Our layers beside other people's",
            alt="Dots on log axes: time and memory of ours and of a peer, row by row, with ratios.",
        )


def long(lines: Sequence[Line]) -> Picture | None:
    """Draw time and memory of every model of linear time at two lengths."""
    models = list(dict.fromkeys(line["model"] for line in lines))
    lengths = sorted({line["length"] for line in lines})
    with panels(3 if lines else 0, lines=max(0, len(models) - SHORTEST) + 1) as (figure, axes):
        shown: list[tuple[str, str, str, Callable[[float | None], str]]] = [
            ("forward", "seconds", "forward pass", units.seconds),
            ("train", "seconds", "training step", units.seconds),
            ("train", "peak_bytes", "peak of the process, training step", units.memory),
        ]
        for axis, (call, column, label, write) in zip(axes, shown, strict=False):
            found = {
                (each["model"], each["length"]): each for each in lines if each["call"] == call
            }
            for place, model in enumerate(models):
                ends = [found.get((model, length), NOTHING) for length in lengths]
                couple(axis, place, [end.get(column) for end in ends])
                if column == "seconds" and ends[-1].get("times_longer"):
                    note(axis, place, told(ends[-1]["times_longer"], None))
            named(axis, models, label, write)
        for axis in axes[1:]:
            axis.set_yticklabels([])
        if axes:
            axes[2].axvline(MOST_BYTES, color="0.3", lw=1, ls="--")
            legend(axes[0], [f"{length:,} positions" for length in lengths])
        return finished(
            figure,
            name="long",
            title="Four times as long",
            alt="Dots on log axes: time and memory of one layer at two lengths, with their ratio.",
        )


def steps(lines: Sequence[Line]) -> Picture | None:
    """Draw a step's time as a multiple of its block's bare products, behind two contexts."""
    models = list(dict.fromkeys(line["model"] for line in lines))
    contexts = sorted({line["context"] for line in lines})
    with panels(1 if lines else 0, lines=max(0, len(models) - SHORTEST) + 1) as (figure, axes):
        for axis in axes:
            found = {(line["model"], line["context"]): line for line in lines}
            for place, model in enumerate(models):
                ends = [found.get((model, n), NOTHING).get("times_products") for n in contexts]
                couple(axis, place, ends)
            label = "time of a step / bare products of its block"
            named(axis, models, label, lambda value: f"{value:g}x")
            axis.axvline(MOST_PRODUCTS, color="0.3", lw=1, ls="--")
            legend(axis, [f"context {length:,}" for length in contexts])
        return finished(
            figure,
            name="steps",
            title="One step of generation",
            alt="Dots: a step's time over that of its bare matrix products, behind two contexts.",
        )


def couple(axis: Axes, place: int, ends: Sequence[float | None]) -> None:
    """Draw two values of a row and the way between them, or write that there is none."""
    known = [value for value in ends if value]
    axis.plot(known, [place] * len(known), color="0.8", lw=2, zorder=1)
    for value, colour, marker in zip(ends, (OURS, THEIRS), "os", strict=False):
        if value:
            axis.plot(value, place, marker, color=colour, ms=6)
    if not known:
        across = axis.get_yaxis_transform()
        axis.text(0.02, place, "no figure", transform=across, va="center", color="0.4")


def note(axis: Axes, place: int, text: str) -> None:
    """Write a ratio at the right edge of its row."""
    across = axis.get_yaxis_transform()
    axis.text(1.01, place, text, transform=across, va="center", fontsize="small")


def told(found: float, wanted: float | None) -> str:
    """Write a ratio, and the wanted one behind it."""
    return f"{units.digits(found)}x" + (f" ({wanted:g}x wanted)" if wanted else "")


def named(
    axis: Axes, names: Sequence[str], label: str, write: Callable[[float | None], str]
) -> None:
    """Name the rows, and give the values a logarithmic axis with units."""
    axis.set(xscale="log", xlabel=label)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    if write is units.memory:
        axis.xaxis.set_major_locator(LogLocator(base=2, numticks=4))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: TAIL.sub("", write(x))))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(labelsize="small")


def legend(axis: Axes, texts: Sequence[str]) -> None:
    """Explain the two markers below a panel."""
    for text, colour, marker in zip(texts, (OURS, THEIRS), "os", strict=True):
        axis.plot([], [], marker, color=colour, label=text)
    axis.legend(
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        frameon=False,
        ncols=len(texts),
    )
