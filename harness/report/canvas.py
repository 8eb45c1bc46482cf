"""What all figures share: a model's look, the style, and how they are saved."""

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

from harness.core.garbage import uncollected

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")
"""Told apart by the colour-blind, on paper too (Okabe and Ito 2008)."""
MARKERS = "osD^vPXph*"
DASHES, SLOTS = ("-", (0, (5, 2)), (0, (4, 1, 1, 1)), (0, (1, 1))), len(COLOURS) * len(MARKERS)
STRIDE = 11
"""From a taken look to the next: another colour and another marker."""
SALT = 226928
"""The first of those tried that gives no two models that are shipped the same colour and marker."""
PANELS = 3
"""The most panels side by side."""
PANEL = (4.2, 3.2)
"""Inches."""
ALONE = 1.6
"""How many panels wide one is that stands alone."""
ROWS = 12
"""So many rows beside each other have room in a panel."""
LINE = 0.2
"""Inches of a line of text."""
DPI = 160
LETTERS = 44
"""The most that a panel's title has room for in a line."""
NAME = 28
"""The most that a name beside a panel has room for in a line."""

Curve = tuple[str, str, list[float], list[float]]
"""What a line shows: its panel, whose it is, and its places."""


@dataclass(frozen=True)
class Look:
    """How a model is drawn."""

    colour: str
    marker: str
    dash: str | tuple[int, tuple[int, ...]]

    @property
    def line(self) -> dict[str, Any]:
        """How a line of it is drawn."""
        return {"color": self.colour, "marker": self.marker, "ls": self.dash}


@dataclass(frozen=True)
class Picture:
    """A finished figure."""

    name: str
    """Of its files, without the ending."""
    title: str
    alt: str
    """What it shows and how to read it, also for those who do not see it."""
    png: bytes
    svg: bytes
    series: list[Curve]
    """The numbers behind its lines."""


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Give each model its colour, marker and dash: by its name alone, so the same in every report.

    Of two models with one colour and marker, the one that comes later by name takes the next that
    are free: no two of a report look alike up to as many as there are. Of two with one colour it
    takes the next dash, so that lines are told apart without their markers.
    """
    found: dict[str, Look] = {}
    taken, lines = set[int](), set[tuple[int, int]]()
    for model in sorted(set(models)):
        digest = sha256(f"{SALT}:{model}".encode()).digest()
        chosen = int.from_bytes(digest[:4], "big") % (SLOTS * len(DASHES))
        free = ((chosen + n * STRIDE) % SLOTS for n in range(SLOTS))
        slot = next((each for each in free if each not in taken), chosen % SLOTS)
        taken.add(slot)
        marker, colour = divmod(slot, len(COLOURS))
        first = chosen // SLOTS
        others = ((colour, (first + n) % len(DASHES)) for n in range(len(DASHES)))
        line = next((each for each in others if each not in lines), (colour, first))
        lines.add(line)
        found[model] = Look(COLOURS[colour], MARKERS[marker], DASHES[line[1]])
    return found


def rows_beyond(rows: int) -> int:
    """Return how many rows are more than a panel has room for."""
    return max(rows - ROWS, 0)


@contextmanager
def panels(count: int, lines: float = 0) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a figure with so many panels, and the style that it must be drawn and saved in.

    Args:
        count: Panels.
        lines: Of a legend below each panel or of what stands beside it, for which each grows.
    """
    across = min(max(count, 1), PANELS)
    down = -(-max(count, 1) // across)
    held = {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        # Letters as text: a tenth of the bytes, and they can be searched and read aloud.
        "svg.fonttype": "none",
        "svg.hashsalt": "ssm-bench",
        "axes.titleweight": "bold",
        "grid.color": "0.9",
        "text.parse_math": False,  # a name may hold dollar signs
    }
    style = {**sns.axes_style("whitegrid"), **sns.plotting_context("paper"), **held}
    with uncollected(), mpl.rc_context(style):
        figure = Figure(
            figsize=(PANEL[0] * max(across, ALONE), (PANEL[1] + LINE * lines) * down),
            layout="constrained",
            dpi=DPI,
        )
        yield figure, [figure.add_subplot(down, across, place + 1) for place in range(count)]


def legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend for all panels below them, in as many columns as the figure is wide."""
    handles = {}
    for axis in axes:
        handles.update(dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True)))
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in range(min(len(handles), 2 * min(len(axes), PANELS)), 0, -1):
        legend = figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=columns
        )
        if columns == 1 or legend.get_window_extent(renderer).width < figure.bbox.width:
            return
        legend.remove()


def legend_under(axis: Axes) -> None:
    """Put a panel's legend below it, where it hides no point.

    What pads it keeps its last marker, which may be higher than its text, within the picture.
    """
    axis.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        fontsize="small",
        borderpad=1,
        frameon=False,
    )


def finished(figure: Figure, *, name: str, title: str, alt: str) -> Picture | None:
    """Save a figure, without dates and versions, which would change its bytes; None if empty."""
    if not figure.axes:
        return None
    sns.despine(figure)
    for axis in figure.axes:
        axis.title.set_text(fitted(axis.get_title()))
    png, svg = io.BytesIO(), io.BytesIO()
    # Without `savefig`, which draws everything twice; and arranged once for both files.
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    figure.set_layout_engine("none")
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    curves, drawn = _curves(figure), _slim(svg.getvalue())
    return Picture(name=name, title=title, alt=alt, png=png.getvalue(), svg=drawn, series=curves)


def fitted(title: str) -> str:
    """Break a title that is too long for its panel: before a task, before and between options."""
    if len(title) <= LETTERS:
        return title
    model, on, task = title.partition(" on ")
    if on:
        return f"{fitted(f'{model} on')} \n{fitted(task)}"
    parts = re.split(r"(?=\[)", _breakable(title), maxsplit=1)
    return "\n".join(textwrap.fill(part.strip(), LETTERS) for part in parts)


def named_rows(axis: Axes, names: Sequence[str]) -> None:
    """Give each row of a panel its name at the left, a long one in small lines.

    What the names take of the panel's width its title and label lack, so these end where the panel
    does, and reach over the names.
    """
    wide = (_breakable(name) if len(name) > NAME else name for name in names)
    lines = [textwrap.fill(name, NAME, break_long_words=False) for name in wide]
    axis.set_yticks(range(len(lines)), lines)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    for label, text in zip(axis.get_yticklabels(), lines, strict=True):
        if "\n" in text:
            label.set(fontsize="x-small", linespacing=0.9)
    axis.title.set(x=1, ha="right")
    axis.xaxis.label.set(x=1, ha="right")


def _breakable(name: str) -> str:
    """Let a name be broken behind each comma."""
    return re.sub(r"(?<=,)(?! )", " ", name)


def log_ticks(axis: Axis, write: Callable[[float], str], base: int = 10) -> None:
    """Label a log axis at a few places, however short it is.

    Args:
        axis: Of what is drawn already.
        write: How a value is written.
        base: Of what numbers round ones are powers.
    """
    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if base == 10 and high < 100 * low else (1,)
    locator: Locator = LogLocator(base, subs, numticks=8)
    axis.set_major_locator(locator if high > 6 * low else MaxNLocator(4))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(write(value))))
    axis.set_minor_locator(NullLocator())


def tick(text: str) -> str:
    """Leave zeros behind the point out."""
    return re.sub(r"\.0+(?= )", "", text)


def _curves(figure: Figure) -> list[Curve]:
    """Return what the named lines of a figure show; a name that no legend tells begins with _."""
    found = []
    for axis in figure.axes:
        panel = axis.get_title().replace("\n", "")
        for line in axis.lines:
            name = str(line.get_label())
            places = np.array(line.get_data(orig=True), dtype=float)
            x, y = places[:, np.isfinite(places).all(axis=0)]
            if len(x) and name.strip("_") and not name.startswith("_child"):
                found.append((panel, name.lstrip("_"), _short(x, 8), _short(y, 5)))
    return found


def _short(values: Iterable[float], digits: int) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values]


def _slim(svg: bytes) -> bytes:
    """Leave out what nobody sees: hundredths of a point, indents, names that nothing refers to."""
    places = rb' (?:d|x|y)="[^"]*"'
    svg = re.sub(places, lambda found: re.sub(rb"(\.\d)\d+", rb"\1", found.group()), svg)
    return re.sub(rb' id="[A-Za-z0-9.]+_\d+"', b"", re.sub(rb"\n +", b"\n", svg))
