"""Paints dashes and discs on black, the brightest wins.

Axes: p pixels of a side, s side of a stamp.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8

from suites._snakes.brush import disc
from suites._snakes.dashes import dash
from suites._snakes.grid import Grid

Pixels = UInt8[np.ndarray, "p p"]


def painted_dashes(grid: Grid, tips: Sequence[int], angles: Sequence[float]) -> Pixels:
    """Paint dashes from their tips, at the contrast of their style."""
    strokes = [dash(grid.style, grid.margin, angle).stroke.image for angle in angles]
    strong = _stamped(grid, zip(tips, strokes, strict=True)).astype(np.uint16)
    return ((strong * grid.style.contrast + 50) // 100).astype(np.uint8)


def painted_discs(grid: Grid, pixels: Sequence[int]) -> Pixels:
    """Paint discs at full brightness."""
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
