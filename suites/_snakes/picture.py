"""Draws whole Pathfinder images from a generator, with a record of what is in them.

The algorithm is that of the public script `snakes2.py`, as this project's notes describe it. Where
it differs: moves are rounded to the nearest pixel, not up. A pixel is taken or not, where the
script has shades: from 0.9 of a mask on for other masks, from half on for ends. The two long paths
are kept off each other's newest dash, which the script forgets; 8 to 10 % of the images at 64 and
128 had paths that cross. A short path looks for room at random pixels, not at all of them.

Axes: p pixels of a side, s side of a stamp.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, UInt8

from suites._snakes.brush import disc
from suites._snakes.canvas import Path
from suites._snakes.grid import Grid, grid
from suites._snakes.growth import grown_distractors, grown_pair
from suites._snakes.style import Style

Pixels = UInt8[np.ndarray, "p p"]
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


def drawn(style: Style, seed: int) -> Picture:
    """Draw an image.

    Args:
        style: Sizes and counts.
        seed: Says all that is random.
    """
    draw = uniform(seed).__next__
    label = draw() < 0.5
    pixels = grid(style, style.margins[int(draw() * len(style.margins))])
    canvas, pair = grown_pair(pixels, draw)
    short = grown_distractors(canvas)
    first = int(draw() * 2)
    marked = first, first if label else 1 - first
    discs = [pair[marked[0]].tips[0], pair[marked[1]].tips[-1]]
    discs += [path.start for path in short if style.dotted]
    long = _long(pixels, pair[0]), _long(pixels, pair[1])
    layers = [*(path.image for path in long), _dashes(pixels, short), _discs(pixels, discs)]
    distractors = tuple(_places(pixels, path) for path in short)
    return Picture(np.maximum.reduce(layers), label, pixels.margin, long, marked, distractors)


def uniform(seed: int) -> Iterator[float]:
    """Yield numbers in [0, 1) without end, a thousand at a time, since single draws cost more."""
    rng = np.random.default_rng(seed)
    while True:
        yield from rng.random(1024).tolist()


def _long(grid: Grid, path: Path) -> LongPath:
    return LongPath(_places(grid, path), _dashes(grid, [path]))


def _places(grid: Grid, path: Path) -> tuple[Place, ...]:
    return tuple(grid.place(tip) for tip in path.tips)


def _dashes(grid: Grid, paths: Sequence[Path]) -> Pixels:
    stamps = [
        (tip, dash.stroke.image)
        for path in paths
        for tip, dash in zip(path.tips, path.dashes, strict=True)
    ]
    strong = _stamped(grid, stamps).astype(np.uint16)
    return ((strong * grid.style.contrast + 50) // 100).astype(np.uint8)


def _discs(grid: Grid, pixels: Sequence[int]) -> Pixels:
    stamp = disc(grid.style.disc, grid.style.antialias)
    return _stamped(grid, [(pixel, stamp) for pixel in pixels])


def _stamped(grid: Grid, stamps: Iterable[tuple[int, UInt8[np.ndarray, "s s"]]]) -> Pixels:
    """Put stamps on black, the brightest wins, and cut the frame off."""
    framed = np.zeros((grid.width, grid.width), np.uint8)
    for pixel, stamp in stamps:
        row, column = divmod(pixel - len(stamp) // 2 * (grid.width + 1), grid.width)
        below = framed[row : row + len(stamp), column : column + len(stamp)]
        np.maximum(below, stamp, out=below)
    return framed[grid.frame : -grid.frame, grid.frame : -grid.frame]
