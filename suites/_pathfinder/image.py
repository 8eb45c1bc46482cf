"""Draws whole Pathfinder images, each from a seed of its own, with a record of what is in them.

The algorithm is that of the public script, as this project's notes describe it. Where it differs:
displacements are rounded to the nearest pixel, not up. For long paths a pixel is masked or not,
where the script has shades: from 0.9 of a cover on for other masks, from half on for ends. They are
kept off each other's newest dash, which the script forgets; 8 to 10 % of the images at 64 and 128
had paths that cross. A distractor looks for room at random pixels, not at all of them.

Axes: p pixels of a side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import final

import numpy as np
from jaxtyping import Bool, UInt8

from suites._pathfinder.distractors import Canvas
from suites._pathfinder.long_paths import PathPair, long_paths
from suites._pathfinder.raster import Pixels, Place, Raster, composed, disc
from suites._pathfinder.style import Style
from suites._pathfinder.tables import Tables, tables_for


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


def pictures(style: Style, seeds: Sequence[int]) -> list[Picture]:
    """Draw images; to draw some at once is faster, and changes none.

    Args:
        style: Sizes and counts.
        seeds: Each says all that is random about one image.
    """
    rngs = [np.random.default_rng(seed) for seed in seeds]
    margins = np.array([style.margins[int(rng.random() * len(style.margins))] for rng in rngs])
    found: dict[int, Picture] = {}
    for margin in style.margins:
        which = (margins == margin).nonzero()[0].tolist()
        tables, some = tables_for(style, margin), [rngs[number] for number in which]
        for number, rng, pair in zip(which, some, long_paths(tables, some), strict=True):
            found[number] = _picture(tables, pair, rng)
    return [found[number] for number in range(len(rngs))]


def _picture(tables: Tables, pair: PathPair, rng: np.random.Generator) -> Picture:
    """Add distractors and discs to a pair of long paths."""
    grid, style, draw = tables.grid, tables.grid.style, _uniform(rng).__next__
    tips, orientations = pair.tips.tolist(), pair.orientations.tolist()
    canvas = Canvas(tables, draw)
    for tip, orientation in zip(tips, orientations, strict=True):
        canvas.enter(tip, orientation)
    distractors = canvas.distractors()
    label, first = draw() < 0.5, int(draw() * 2)
    marked = first, first if label else 1 - first
    discs = [tips[marked[0]], tips[marked[1] - 2]]
    discs += [path.start for path in distractors if style.dotted]
    long = [_placed(tables, tips[own::2], orientations[own::2]) for own in range(2)]
    short = [_placed(tables, path.tips, path.orientations) for path in distractors]
    dots = [(grid.place(pixel), disc(style)) for pixel in discs]
    paths = [LongPath(_places(path), composed(style.size, path)) for path in long]
    others = composed(style.size, chain(*short, dots))
    return Picture(
        pixels=np.maximum.reduce([paths[0].image, paths[1].image, others]),
        label=label,
        margin=grid.margin,
        paths=(paths[0], paths[1]),
        marked=marked,
        distractors=tuple(_places(path) for path in short),
    )


def _uniform(rng: np.random.Generator) -> Iterator[float]:
    """Yield numbers in [0, 1) without end, a thousand at a time, since single draws cost more."""
    while True:
        yield from rng.random(1024).tolist()


def _placed(tables: Tables, tips: list[int], orientations: list[int]) -> list[tuple[Place, Raster]]:
    """Return the rasters of a path's dashes and where they belong."""
    rasters = [tables.dashes[orientation].image for orientation in orientations]
    return [(tables.grid.place(tip), raster) for tip, raster in zip(tips, rasters, strict=True)]


def _places(path: list[tuple[Place, Raster]]) -> tuple[Place, ...]:
    return tuple(place for place, _ in path)
