"""What all figures share: a model's look, the style, and how they are saved."""

import io
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MARKERS = "osD^vPXph*"
PANELS = 3
"""The most panels side by side."""
PANEL = (4.2, 3.2)
"""Inches."""
ALONE = 1.6
"""How many panels wide one is that stands alone."""
LINE = 0.2
"""Inches of a line in a legend."""
LETTERS = 44
"""The most that a panel's title has room for in a line."""


@dataclass(frozen=True)
class Look:
    """How a model is drawn."""

    colour: tuple[float, float, float]
    marker: str


@dataclass(frozen=True)
class Picture:
    """A finished figure."""

    name: str
    """Of its files, without the ending."""
    title: str
    alt: str
    """What it shows, for those who do not see it."""
    png: bytes
    svg: bytes


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Give each model its colour, safe for the colour-blind, and its marker."""
    colours = cycle(sns.color_palette("colorblind"))
    return dict(zip(sorted(set(models)), map(Look, colours, cycle(MARKERS)), strict=False))


@contextmanager
def panels(count: int, legend: int = 0) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a figure with so many panels, and the style that it must be drawn and saved in.

    Args:
        count: Panels.
        legend: Lines of the legend below each panel, for which the figure grows.
    """
    across = min(max(count, 1), PANELS)
    down = -(-max(count, 1) // across)
    held = {
        "font.family": "DejaVu Sans",
        "svg.hashsalt": "ssm-bench",
        "axes.titleweight": "bold",
        "grid.color": "0.9",
    }
    style = {**sns.axes_style("whitegrid"), **sns.plotting_context("paper"), **held}
    with mpl.rc_context(style):
        figure = Figure(
            figsize=(PANEL[0] * max(across, ALONE), (PANEL[1] + LINE * legend) * down),
            layout="constrained",
        )
        axes = [figure.add_subplot(down, across, place + 1) for place in range(count)]
        yield figure, axes


def legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend for all panels below them."""
    handles = {}
    for axis in axes:
        handles.update(dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True)))
    if handles:
        columns = min(len(handles), 2 * min(len(axes), PANELS))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)


def legend_under(axis: Axes) -> None:
    """Put a panel's legend below it, where it hides no point."""
    axis.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)


def finished(figure: Figure, *, name: str, title: str, alt: str) -> Picture | None:
    """Save a figure, without dates and versions, which would change its bytes; None if empty."""
    if not figure.axes:
        return None
    sns.despine(figure)
    for axis in figure.axes:
        axis.set_title(fitted(axis.get_title()))
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(name=name, title=title, alt=alt, png=png.getvalue(), svg=svg.getvalue())


def fitted(title: str) -> str:
    """Break a title that is too long for its panel, before its options and between them."""
    if len(title) <= LETTERS:
        return title
    parts = re.split(r"(?=\[)", re.sub(r"(?<=,)(?! )", " ", title), maxsplit=1)
    return "\n".join(textwrap.fill(part.strip(), LETTERS) for part in parts)


def tick(text: str) -> str:
    """Leave zeros behind the point out."""
    return re.sub(r"\.0+(?= )", "", text)
