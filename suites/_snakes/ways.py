"""What every dash of a grid takes and where it may lead, as tables to look up many at once.

A *way* is a row of the tables: a dash and where a path may go on from it. The first 360 are first
dashes, one a degree from -180 on, which begin at a tip and go forward. The others are further ones,
one for each end on the circle around a pivot; they are drawn from that end back to the pivot.

Axes: w ways, o ends to choose from, h rows of a box, s side of a stamp, m moves.
"""

from functools import cache
from math import atan2, ceil, radians
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt64

from suites._snakes import dashes
from suites._snakes.dashes import Dash
from suites._snakes.grid import Grid

DEGREES = range(-180, 180)
WORD = 64
"""Bits, more than the columns of a dash."""


class Ways(NamedTuple):
    """The tables of a grid. Moves are numbers of pixels, as there."""

    grid: Grid
    angles: list[float]
    """At which each way's dash is drawn from its tip."""
    forward: Int[np.ndarray, " 360"]
    """Of the first ways, a move by a margin."""
    across: Int[np.ndarray, " 360"]
    """Of the first ways, a move by the distance of the two seeds."""
    pivot: Int[np.ndarray, " w"]
    """Move from a pivot to the next."""
    ends: Int[np.ndarray, "w o"]
    """Moves from that pivot to where the next dash may end."""
    weights: Int[np.ndarray, "w o"]
    """In proportion to probabilities; 0 where a way has fewer ends."""
    next: Int[np.ndarray, "w o"]
    """The way that each end leads to."""
    border: Bool[np.ndarray, " pixels"]
    """Pixels of the grid in which no dash may end, whatever has been drawn."""
    near: Bool[np.ndarray, "w m"]
    """Whether a dash may not end at a move from the tip; the central move is none, the outermost
    moves are free."""
    close: Bool[np.ndarray, " moves"]
    """Whether a tip at a move from a pivot may matter to the next dash; the central move is none.
    """
    box: Int[np.ndarray, "w 4"]
    """First row, first column, rows and columns of what no other dash may take, from the tip."""
    rows: int
    """The rows of the highest box."""
    firm: UInt64[np.ndarray, "w h"]
    """The rows of that box, a bit a column, between as many empty ones before and after."""


@cache
def ways(grid: Grid) -> Ways:
    """Return the tables of a grid."""
    style, margin = grid.style, grid.margin
    forwards, around = [radians(degrees) for degrees in DEGREES], dashes.circle(style, margin)
    onwards = forwards + [atan2(down, right) for down, right in around]
    angles = forwards + [atan2(-down, -right) for down, right in around]
    drawn = [dashes.dash(style, margin, angle) for angle in angles]
    ends, weights, following = _options(grid, onwards, around)
    box = np.array([_box(one) for one in drawn])
    return Ways(
        grid=grid,
        angles=angles,
        forward=np.array([grid.move(angle, margin) for angle in forwards]),
        across=np.array([grid.move(angle, style.seed_distance) for angle in forwards]),
        pivot=np.array([grid.move(angle, style.dash + 2 * margin) for angle in onwards]),
        ends=ends,
        weights=weights,
        next=following,
        border=_border(grid),
        near=np.stack([_laid(grid, one.near) for one in drawn]),
        close=_close(grid),
        box=box,
        rows=int(box[:, 2].max()),
        firm=_rows(drawn, box),
    )


def _options(
    grid: Grid, onwards: list[float], around: list[tuple[int, int]]
) -> tuple[Int[np.ndarray, "w o"], Int[np.ndarray, "w o"], Int[np.ndarray, "w o"]]:
    """Return the ends, the weights and the following ways of every way."""
    order = {end: len(DEGREES) + number for number, end in enumerate(around)}
    options = [dashes.ends(grid.style, grid.margin, angle) for angle in onwards]
    ends, weights, following = np.zeros((3, len(options), max(map(len, options))), int)
    for way, found in enumerate(options):
        ends[way, : len(found)] = [end.down * grid.width + end.right for end in found]
        weights[way, : len(found)] = [end.weight for end in found]
        following[way, : len(found)] = [order[end.down, end.right] for end in found]
    return ends, weights, following


def _border(grid: Grid) -> Bool[np.ndarray, " pixels"]:
    border = np.ones((grid.width, grid.width), bool)
    inner = grid.frame + grid.style.padding + grid.margin
    border[inner:-inner, inner:-inner] = False
    return border.flatten()


def _laid(grid: Grid, stamp: Bool[np.ndarray, "s s"]) -> Bool[np.ndarray, " m"]:
    """Lay a stamp into the grid and return all pixels from its first to its last and one more."""
    rows = np.pad(stamp, ((0, 0), (0, grid.width - len(stamp)))).flatten()
    return np.pad(rows[: grid.width * len(stamp) - grid.width + len(stamp)], 1)


def _close(grid: Grid) -> Bool[np.ndarray, " moves"]:
    style = grid.style
    far = style.dash + grid.margin + ceil(style.thickness) + grid.half + 1
    assert 2 * far < grid.width
    move, pixels = np.arange(-far, far + 1), grid.width**2
    moves = move[:, None] * grid.width + move
    close = np.zeros(2 * pixels + 1, bool)
    close[pixels + moves[np.hypot(move[:, None], move) <= far]] = True
    return close


def _box(dash: Dash) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(dash.firm)
    half, top, left = len(dash.firm) // 2, int(rows.min()), int(columns.min())
    return top - half, left - half, int(rows.max()) - top + 1, int(columns.max()) - left + 1


def _rows(drawn: list[Dash], box: Int[np.ndarray, "w 4"]) -> UInt64[np.ndarray, "w h"]:
    high, wide = box[:, 2].max(), box[:, 3].max()
    assert wide < WORD
    firm = np.zeros((len(drawn), 3 * high), np.uint64)
    for row, one, (top, left, rows, columns) in zip(firm, drawn, box.tolist(), strict=True):
        half = len(one.firm) // 2
        cut = one.firm[half + top :, half + left :][:rows, :columns]
        row[high : high + rows] = cut @ (np.uint64(1) << np.arange(columns, dtype=np.uint64))
    return firm
