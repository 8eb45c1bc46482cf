"""Attempts at long paths that are made many at once, beside each alone on a whole canvas."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from math import atan2, radians
from typing import final

import numpy as np
import pytest

from suites._pathfinder.geometry import candidates, displacement
from suites._pathfinder.long_paths import long_paths
from suites._pathfinder.raster import FULL, Place, dash
from suites._pathfinder.style import LRA, Style
from suites._pathfinder.tables import tables_for


@final
class WholeCanvas:
    """The taken pixels of one attempt, each dash entered as an image of the whole canvas."""

    def __init__(self, style: Style, margin: int) -> None:
        self.style, self.margin, self.frame = style, margin, 4 * style.reach(margin)
        side = style.size + 2 * self.frame
        inner = slice(self.frame + style.padding, -self.frame - style.padding)
        self.masked, self.half = np.ones((2, side, side), bool)
        self.masked[inner, inner] = self.half[inner, inner] = False

    def cover(self, tip: Place, angle: float) -> np.ndarray:
        whole = np.zeros(self.masked.shape, np.uint8)
        raster = dash(self.style, self.margin, angle).cover
        row, column = (at + self.frame - len(raster) // 2 for at in tip)
        whole[row : row + len(raster), column : column + len(raster)] = raster
        return whole

    def enter(self, tip: Place, angle: float) -> None:
        self.masked |= self.cover(tip, angle) >= 0.9 * FULL
        self.half |= self.cover(tip, angle) >= 0.5 * FULL

    def fits(self, *dashes: tuple[Place, float]) -> bool:
        """Tell whether the first dash overlaps neither what is entered nor the others."""
        own, *others = (self.cover(*one) >= 0.9 * FULL for one in dashes)
        return not (own & np.logical_or.reduce([self.masked, *others])).any()

    def near(self, pixel: Place) -> bool:
        row, column = (at + self.frame for at in pixel)
        around = range(-self.margin, self.margin + 1)
        return any(
            self.half[row + y, column + x]
            for y in around
            for x in around
            if y**2 + x**2 <= self.margin**2
        )


@dataclass
class SlowPath:
    """A path that grows on a whole canvas."""

    dashes: list[tuple[Place, float]]
    pivot: Place
    course: float


def first_dashes(canvas: WholeCanvas, uniform: list[float]) -> tuple[SlowPath, SlowPath] | None:
    style, degrees = canvas.style, [radians(int(u * 360) - 180) for u in uniform]
    whole = (canvas.cover((0, 0), degrees[0]) >= 0.9 * FULL).nonzero()
    low = [2 * style.seed_distance + canvas.frame - int(axis.min()) for axis in whole]
    high = [style.size - 2 * style.seed_distance + canvas.frame - int(axis.max()) for axis in whole]
    if high[0] <= low[0] or high[1] <= low[1]:
        return None
    row, column = (
        least + int(u * (most - least))
        for least, most, u in zip(low, high, uniform[1:3], strict=True)
    )
    first = (row, column), degrees[0]
    for away, own in zip(degrees[3:9:2], degrees[4:9:2], strict=True):
        second = moved(first[0], away, style.seed_distance), own
        if canvas.fits(second, first):
            one, other = (
                SlowPath([dash], moved(dash[0], dash[1], canvas.margin, -1), dash[1])
                for dash in (first, second)
            )
            return one, other
    return None


def longer(canvas: WholeCanvas, path: SlowPath, other: SlowPath, uniform: list[float]) -> bool:
    style, margin = canvas.style, canvas.margin
    row, column = moved(path.pivot, path.course, style.dash + 2 * margin)
    options = {
        end: 0 if canvas.near((row + end.down, column + end.right)) else end.weight
        for end in candidates(style, margin, path.course)
    }
    sums = dict(zip(options, accumulate(options.values()), strict=True))
    total = sum(options.values())
    for u in uniform if total else ():
        end = next(end for end, upto in sums.items() if upto > u * total)
        new = (row + end.down, column + end.right), atan2(-end.down, -end.right)
        if canvas.fits(new, other.dashes[-1]):
            canvas.enter(*path.dashes[-1])
            path.dashes.append(new)
            path.pivot, path.course = (row, column), atan2(end.down, end.right)
            return True
    return False


def attempted(style: Style, margin: int, uniform: list[float]) -> list[list[Place]]:
    """Make one attempt at a pair of long paths, as the published script does, pixel by pixel."""
    canvas = WholeCanvas(style, margin)
    pair = first_dashes(canvas, uniform)
    for step in range(2 * style.dashes - 2 if pair else 0):
        if not longer(canvas, pair[step % 2], pair[1 - step % 2], uniform[9 + 3 * step :][:3]):
            return []
    return [[place for place, _ in path.dashes] for path in pair or ()]


def attempts(style: Style, margin: int, rng: np.random.Generator) -> Iterator[list[list[Place]]]:
    """Make attempts whose numbers are drawn in batches, up to the batch in which one succeeds."""
    batch, done = 16, False
    while not done:
        for uniform in rng.random((batch, 3 + 6 * style.dashes)).tolist():
            if not done:
                yield (found := attempted(style, margin, uniform))
                done = bool(found)
        batch = min(2 * batch, 256)


def moved(place: Place, angle: float, distance: int, sign: int = 1) -> Place:
    down, right = displacement(angle, distance)
    return place[0] + sign * down, place[1] + sign * right


@pytest.mark.parametrize(("size", "margin", "dashes", "images"), [(32, 1, 9, 16), (128, 3, 7, 6)])
def test_many_attempts_at_once_equal_each_alone_on_a_whole_canvas(
    size: int, margin: int, dashes: int, images: int
) -> None:
    style = replace(LRA[size], dashes=dashes)
    grid = tables_for(style, margin).grid
    together, alone = ([np.random.default_rng(seed) for seed in range(images)] for _ in range(2))
    pairs = long_paths(tables_for(style, margin), together)

    made = 0
    for pair, rng, other in zip(pairs, together, alone, strict=True):
        *failed, found = attempts(style, margin, other)
        made += len(failed) + 1
        places = [grid.place(tip) for tip in pair.tips.tolist()]
        assert [places[::2], places[1::2]] == found
        assert rng.random() == other.random(), "both have drawn as many numbers"
    assert 2 * images < made
