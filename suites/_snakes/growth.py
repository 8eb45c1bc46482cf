"""Grows what an image holds: two long paths by turns, then short ones where room is left."""

from collections.abc import Callable
from functools import cache
from math import radians
from typing import NamedTuple, no_type_check

import numpy as np

from suites._snakes.canvas import DRAWS, Canvas, Path, touches
from suites._snakes.grid import FIRM, Grid

TRIES = 5
"""To draw a short path, until there is one fewer."""


class Reach(NamedTuple):
    """How far a dash with its margin reaches from where it starts."""

    up: int
    down: int
    left: int
    right: int


@no_type_check
@cache
def reach(grid: Grid, degrees: int) -> Reach:
    """Measure a dash."""
    mask = grid.dash(radians(degrees)).stroke.mask
    rows, columns = np.nonzero(mask >= FIRM)
    half = len(mask) // 2
    return Reach(
        half - int(rows.min()),
        int(rows.max()) - half,
        half - int(columns.min()),
        int(columns.max()) - half,
    )


@no_type_check
def grown_pair(grid: Grid, draw: Callable[[], float]) -> tuple[Canvas, tuple[Path, Path]]:
    """Draw the two long paths, from the start again until both have all their dashes.

    Args:
        grid: Where to draw.
        draw: Returns a uniform number in [0, 1).

    Returns:
        The canvas with both paths on it, and the paths.
    """
    while True:
        canvas = Canvas(grid, draw)
        pair = _seeds(canvas)
        if pair and _grown(canvas, pair):
            for path in pair:
                canvas.enter(path)
            return canvas, pair


@no_type_check
def _grown(canvas: Canvas, pair: tuple[Path, Path]) -> bool:
    for _ in range(canvas.grid.style.dashes - 1):
        for path, other in (pair, pair[::-1]):
            if not canvas.extended(path, other):
                return False
    return True


@no_type_check
def _seeds(canvas: Canvas) -> tuple[Path, Path] | None:
    """Begin both paths.

    The first dash lies twice the seeds' distance away from every border, the second begins at this
    distance from where the first does.
    """
    style, degrees = canvas.grid.style, canvas.degrees()
    around, border = reach(canvas.grid, degrees), 2 * style.seed_distance
    rows = style.size - 2 * border - around.up - around.down
    columns = style.size - 2 * border - around.left - around.right
    if min(rows, columns) <= 0:
        return None
    row = border + around.up + int(canvas.draw() * rows)
    column = border + around.left + int(canvas.draw() * columns)
    first = canvas.begun(canvas.grid.pixel(row, column), degrees)
    second = _second(canvas, first)
    return second and (first, second)


@no_type_check
def _second(canvas: Canvas, first: Path) -> Path | None:
    grid = canvas.grid
    for _ in range(DRAWS):
        away = grid.move(radians(canvas.degrees()), grid.style.seed_distance)
        tip, degrees = first.tips[0] + away, canvas.degrees()
        dash = grid.dash(radians(degrees))
        if canvas.fits(tip, dash) and not touches(tip, dash, first):
            return canvas.begun(tip, degrees)
    return None


@no_type_check
def grown_distractors(canvas: Canvas) -> tuple[Path, ...]:
    """Draw short paths where room is left."""
    drawn = (_short(canvas) for _ in range(canvas.grid.style.distractors))
    return tuple(path for path in drawn if path is not None)


@no_type_check
def _short(canvas: Canvas) -> Path | None:
    before = canvas.firm, canvas.near
    for _ in range(0 if canvas.crowded() else TRIES):
        degrees = canvas.degrees()
        tip = canvas.room(degrees)
        if tip is None:
            continue
        path = canvas.begun(tip, degrees)
        if all(canvas.extended(path) for _ in range(canvas.grid.style.distractor - 1)):
            canvas.enter(path)
            return path
        canvas.firm, canvas.near = before
    return None
