"""Draws whole Pathfinder images, each from a seed of its own, with a record of what is in them.

The algorithm is that of the public script `snakes2.py`, as this project's notes describe it. Where
it differs: moves are rounded to the nearest pixel, not up. A pixel is taken or not, where the
script has shades: from 0.9 of a mask on for other masks, from half on for ends. The two long paths
are kept off each other's newest dash, which the script forgets; 8 to 10 % of the images at 64 and
128 had paths that cross. A short path looks for room at random pixels, not at all of them.

Axes: p pixels of a side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, UInt8

from suites._snakes.canvas import Canvas
from suites._snakes.grid import Grid, grid
from suites._snakes.paint import Pixels, painted_dashes, painted_discs
from suites._snakes.pairs import Pairs, grown
from suites._snakes.style import Style
from suites._snakes.ways import Ways, ways

Place = tuple[int, int]
"""Row and column."""


@final
@dataclass(frozen=True, eq=False)
class LongPath:
    """One of the two long paths."""

    tips: tuple[Place, ...]
    """The outer tip of the first dash, then the far end of every further one."""
    image: Pixels
    """The path alone."""

    @property
    def where(self) -> Bool[np.ndarray, "p p"]:
        """Where it leaves a trace, the faint ring around dashes included, as in the DLR set."""
        return self.image > 0


@final
@dataclass(frozen=True, eq=False)
class Picture:
    """An image and what is in it."""

    pixels: Pixels
    """Grey, black ground, the brightest 255."""
    label: bool
    """Whether one path joins the two discs."""
    margin: int
    """Half of the gap between two dashes."""
    paths: tuple[LongPath, LongPath]
    marked: tuple[int, int]
    """The path whose first tip has a disc, and the one whose last tip has."""
    distractors: tuple[tuple[Place, ...], ...]
    """The tips of each short path."""

    @property
    def discs(self) -> tuple[Place, Place]:
        """The places of the two discs that count."""
        first, last = self.marked
        return self.paths[first].tips[0], self.paths[last].tips[-1]

    @property
    def classes(self) -> UInt8[np.ndarray, "p p"]:
        """Of each pixel: 2 on the path that joins the discs, 1 on other long paths, 0 elsewhere."""
        joined = [1 + (self.label and self.marked[0] == number) for number in range(2)]
        layers = [path.where * np.uint8(of) for path, of in zip(self.paths, joined, strict=True)]
        return np.maximum(*layers)


def drawn(style: Style, seeds: Sequence[int]) -> list[Picture]:
    """Draw images; to draw some at once is faster, and changes none.

    Args:
        style: Sizes and counts.
        seeds: Each says all that is random about one image.
    """
    rngs = [np.random.default_rng(seed) for seed in seeds]
    margins = np.array([style.margins[int(rng.random() * len(style.margins))] for rng in rngs])
    images: dict[int, Picture] = {}
    for margin in style.margins:
        which = (margins == margin).nonzero()[0].tolist()
        tables, some = ways(grid(style, margin)), [rngs[number] for number in which]
        for number, rng, pair in zip(which, some, grown(tables, some), strict=True):
            images[number] = _picture(tables, pair, rng)
    return [images[number] for number in range(len(rngs))]


def _picture(ways: Ways, pair: Pairs, rng: np.random.Generator) -> Picture:
    """Add short paths and discs to a pair of long paths."""
    draw, grid = _uniform(rng).__next__, ways.grid
    canvas, tips = Canvas(grid, draw), pair.tips[0].tolist()
    angles = [ways.angles[way] for way in pair.ways[0].tolist()]
    canvas.enter(tips, angles)
    short = canvas.short_paths()
    label, first = draw() < 0.5, int(draw() * 2)
    marked = first, first if label else 1 - first
    discs = [tips[marked[0]], tips[marked[1] - 2]]
    discs += [path.start for path in short if grid.style.dotted]
    long = (_long(grid, tips[::2], angles[::2]), _long(grid, tips[1::2], angles[1::2]))
    distractors = painted_dashes(
        grid,
        [tip for path in short for tip in path.tips],
        [angle for path in short for angle in path.angles],
    )
    layers = [*(path.image for path in long), distractors, painted_discs(grid, discs)]
    return Picture(
        pixels=np.maximum.reduce(layers),
        label=label,
        margin=grid.margin,
        paths=long,
        marked=marked,
        distractors=tuple(_places(grid, path.tips) for path in short),
    )


def _uniform(rng: np.random.Generator) -> Iterator[float]:
    """Yield numbers in [0, 1) without end, a thousand at a time, since single draws cost more."""
    while True:
        yield from rng.random(1024).tolist()


def _long(grid: Grid, tips: Sequence[int], angles: Sequence[float]) -> LongPath:
    return LongPath(_places(grid, tips), painted_dashes(grid, tips, angles))


def _places(grid: Grid, tips: Sequence[int]) -> tuple[Place, ...]:
    return tuple(grid.place(tip) for tip in tips)
