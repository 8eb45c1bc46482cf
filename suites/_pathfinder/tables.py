"""What a dash of every orientation occupies and where a path may go on after it, to look up.

Orientations have numbers. The first 360 are those of first dashes, one a degree from -180 on; these
are drawn along the path. Then one follows for each displacement on the circle around a pivot: these
dashes are drawn from that end back to the pivot.

Axes: k orientations, c candidates, h rows of a box, d displacements.
"""

from functools import cache
from math import atan2, ceil, radians
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from suites._pathfinder.geometry import Grid, candidates, circle
from suites._pathfinder.raster import HALF_COVERED, Dash, Place, dash
from suites._pathfinder.style import Style

DEGREES = range(-180, 180)
WORD = 64
"""Bits, more than the columns of a mask."""


class Tables(NamedTuple):
    """The tables of a grid; displacements are numbers of pixels, as there."""

    grid: Grid
    dashes: list[Dash]
    """The dash of each orientation."""
    back: Int[np.ndarray, " 360"]
    """Of first dashes, the displacement from the pivot to the tip."""
    second: Int[np.ndarray, " 360"]
    """By degrees, the displacement from the tip of one long path's first dash to the other's."""
    pivot: Int[np.ndarray, " k"]
    """Displacement from a dash's pivot to the next one's."""
    ends: Int[np.ndarray, "c k"]
    """Displacements from the next pivot to the candidates."""
    weights: Float[np.ndarray, "c k"]
    """Of the candidates; 0 where an orientation has fewer."""
    turned: Int[np.ndarray, "c k"]
    """The orientation of a dash that ends at each candidate."""
    inside: Bool[np.ndarray, " pixels"]
    """The pixels of the grid that a mask may take, as long as nothing has been drawn."""
    border: Bool[np.ndarray, " pixels"]
    """The pixels of the grid at which no dash may end, whatever has been drawn."""
    near: Bool[np.ndarray, " displacements"]
    """Whether a tip may matter to the next dash, by its displacement from the pivot; the central
    one is none."""
    dilated: Bool[np.ndarray, "k d"]
    """The dilated masks by the displacement from the tip; the central one is none, the outermost
    ones are free."""
    corner: Int[np.ndarray, " k"]
    """Displacement from a tip to the first pixel of the mask's bounding box."""
    high: Int[np.ndarray, " k"]
    """Its rows; next, its columns."""
    wide: Int[np.ndarray, " k"]
    bits: UInt64[np.ndarray, "k h"]
    """The mask's rows in its box, a bit a column, between as many empty rows before and after."""


@cache
def tables_for(style: Style, margin: int) -> Tables:
    """Return the tables of a style and a margin."""
    grid, around = Grid(style, margin), circle(style, margin)
    first = [radians(degrees) for degrees in DEGREES]
    courses = first + [atan2(down, right) for down, right in around]
    orientations = first + [atan2(-down, -right) for down, right in around]
    dashes = [dash(style, margin, orientation) for orientation in orientations]
    top, left, high, wide = np.array([_box(one) for one in dashes]).T
    ends, weights, turned = _candidates(grid, courses, around)
    return Tables(
        grid=grid,
        dashes=dashes,
        back=np.array([grid.move(angle, margin) for angle in first]),
        second=np.array([grid.move(angle, style.seed_distance) for angle in first]),
        pivot=np.array([grid.move(angle, style.dash + 2 * margin) for angle in courses]),
        ends=ends,
        weights=weights.astype(float),
        turned=turned,
        inside=_inside(grid, style.padding),
        border=~_inside(grid, style.padding + margin),
        near=_near(grid),
        dilated=np.stack([_laid(grid, one.dilated >= HALF_COVERED) for one in dashes]),
        corner=top * grid.width + left,
        high=high,
        wide=wide,
        bits=_bits(dashes),
    )


def _candidates(
    grid: Grid, courses: list[float], around: list[Place]
) -> tuple[Int[np.ndarray, "c k"], Int[np.ndarray, "c k"], Int[np.ndarray, "c k"]]:
    """Return displacements, weights and orientations of the candidates after every dash."""
    number = {end: len(DEGREES) + place for place, end in enumerate(around)}
    options = [candidates(grid.style, grid.margin, course) for course in courses]
    ends, weights, turned = np.zeros((3, max(map(len, options)), len(options)), int)
    for last, found in enumerate(options):
        ends[: len(found), last] = [end.down * grid.width + end.right for end in found]
        weights[: len(found), last] = [end.weight for end in found]
        turned[: len(found), last] = [number[end.down, end.right] for end in found]
    return ends, weights, turned


def _inside(grid: Grid, border: int) -> Bool[np.ndarray, " pixels"]:
    """Tell which pixels lie in the image and not on a border."""
    frame, size = grid.frame + border, grid.style.size - 2 * border
    return np.pad(np.ones((size, size), bool), frame).flatten()


def _laid(grid: Grid, square: Bool[np.ndarray, "s s"]) -> Bool[np.ndarray, " d"]:
    """Lay a square into the grid and return all pixels from its first to its last and one more."""
    rows = np.pad(square, ((0, 0), (0, grid.width - len(square)))).flatten()
    return np.pad(rows[: grid.width * (len(square) - 1) + len(square)], 1)


def _near(grid: Grid) -> Bool[np.ndarray, " displacements"]:
    style = grid.style
    far = style.dash + grid.margin + ceil(style.thickness) + grid.half + 1
    assert 2 * far < grid.width
    along, pixels = np.arange(-far, far + 1), grid.width**2
    numbers = along[:, None] * grid.width + along
    near = np.zeros(2 * pixels + 1, bool)
    near[pixels + numbers[np.hypot(along[:, None], along) <= far]] = True
    return near


def _box(dash: Dash) -> tuple[int, int, int, int]:
    """Return the first row and column of a mask, from the tip, and its rows and columns."""
    rows, columns = np.nonzero(dash.mask)
    half, top, left = len(dash.mask) // 2, int(rows.min()), int(columns.min())
    return top - half, left - half, int(rows.max()) - top + 1, int(columns.max()) - left + 1


def _bits(dashes: list[Dash]) -> UInt64[np.ndarray, "k h"]:
    boxes = [dash.mask[np.ix_(dash.mask.any(1), dash.mask.any(0))] for dash in dashes]
    high = max(len(box) for box in boxes)
    bits = np.zeros((len(boxes), 3 * high), np.uint64)
    for row, box in zip(bits, boxes, strict=True):
        assert box.shape[1] < WORD
        columns = np.uint64(1) << np.arange(box.shape[1], dtype=np.uint64)
        row[high : high + len(box)] = box @ columns
    return bits
