"""Rasters of dashes and discs, and images that are composed of them.

Shapes are drawn finer than shown and reduced by Lanczos, to 8 bits. They start at a whole pixel and
take few orientations, so each is drawn once and kept. What Pillow reduces are integers by integers,
so the bytes are the same on every machine.

Axes: s side of a raster, which is odd; its central pixel is where the shape starts. p pixels of a
side of an image.
"""

from collections.abc import Iterable
from functools import lru_cache
from math import ceil, cos, sin
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from suites._pathfinder.style import Style

EDGE = 1e-6
"""Added before rounding, so that no pixel's shade hangs on the last bit of a sine."""
FULL = 255
SUPPORT = 3
"""How many pixels away Lanczos looks; as much is drawn around a shape and cut off again."""
BOUND = 9 * FULL * 2 // 10
"""Masks overlap where they come to this together: the published 1.8."""
COVERED, HALF_COVERED = (BOUND + 1) // 2, (FULL + 1) // 2
"""Where long paths grow, a pixel covered this much is masked, and no dash ends within a margin of
one that is half covered."""

Place = tuple[int, int]
"""Row and column of a pixel."""
Pixels = UInt8[np.ndarray, "p p"]
Raster = UInt8[np.ndarray, "s s"]


class Dash(NamedTuple):
    """A dash from its tip at the centre."""

    image: Raster
    """The dash alone at its contrast, with the faint ring that Lanczos draws around it."""
    cover: UInt8[np.ndarray, "s2 s2"]
    """How much of each pixel the dash and its margin cover."""
    room: UInt8[np.ndarray, "s2 s2"]
    """How much of each pixel others may cover."""
    dilated: UInt8[np.ndarray, "s2 s2"]
    """The largest cover within a margin."""

    @property
    def mask(self) -> Bool[np.ndarray, "s2 s2"]:
        """Return the pixels that no other mask may overlap."""
        return self.cover >= COVERED


def dash(style: Style, margin: int, orientation: float) -> Dash:
    """Draw a dash, its cover and that dilated, the latter two a margin wider on every side.

    As in the public script, it is a fine pixel longer than its length: both its ends are drawn.
    """
    y, x = _fine_grid(style.reach(margin) + SUPPORT, style.antialias)
    along = x * cos(orientation) + y * sin(orientation)
    across = y * cos(orientation) - x * sin(orientation)
    beyond = np.abs(along - style.dash / 2) - (style.dash + 1 / style.antialias) / 2
    beside = np.abs(across) - style.thickness / 2
    inside = np.minimum(np.maximum(beyond, beside), 0)
    distance = np.hypot(np.maximum(beyond, 0), np.maximum(beside, 0)) + inside
    narrow = _reduced(distance - margin, style.antialias)
    cover = np.pad(narrow, margin)
    full = _reduced(distance, style.antialias)
    return Dash(
        image=((full.astype(int) * style.contrast + 50) // 100).astype(np.uint8),
        cover=cover,
        room=np.minimum(BOUND - 1 - cover.astype(int), FULL).astype(np.uint8),
        dilated=_dilated(narrow, margin),
    )


@lru_cache
def disc(style: Style) -> Raster:
    """Draw a filled disc."""
    y, x = _fine_grid(ceil(style.disc) + 2 * SUPPORT, style.antialias)
    return _reduced(np.hypot(y, x) - style.disc, style.antialias)


def composed(size: int, placed: Iterable[tuple[Place, Raster]]) -> Pixels:
    """Put rasters on black, where the brightest wins; what reaches over the border is cut off."""
    image = np.zeros((size, size), np.uint8)
    for (row, column), raster in placed:
        top, left = row - len(raster) // 2, column - len(raster) // 2
        below = image[max(top, 0) : top + len(raster), max(left, 0) : left + len(raster)]
        inside = raster[max(-top, 0) : size - top, max(-left, 0) : size - left]
        np.maximum(below, inside, out=below)
    return image


def _fine_grid(
    reach: int, antialias: int
) -> tuple[Float[np.ndarray, "s 1"], Float[np.ndarray, "1 s"]]:
    """Return where the fine pixels' centres lie, down and right of the central pixel's centre."""
    fine = (np.arange((2 * reach + 1) * antialias) + 0.5) / antialias - reach - 0.5
    return fine[:, None], fine[None]


def _reduced(outside: Float[np.ndarray, "fine fine"], antialias: int) -> Raster:
    """Fill a shape, from how far outside it every fine pixel's centre lies, in pixels.

    What lies on the edge is filled by half: filled whole, a thin dash along the grid, whose two
    edges run through centres, would be twice as bright as a slanting one.
    """
    side = len(outside) // antialias
    filled = (FULL + 1) / 2 + EDGE - FULL * antialias * outside
    image = Image.fromarray(np.clip(filled, 0, FULL).astype(np.uint8))
    whole = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
    return whole[SUPPORT:-SUPPORT, SUPPORT:-SUPPORT]


def _dilated(cover: Raster, margin: int) -> UInt8[np.ndarray, "s2 s2"]:
    """Lay a cover over itself from everywhere within a margin; scipy's takes thrice as long."""
    near, side = np.arange(-margin, margin + 1), len(cover)
    dilated = np.zeros((side + 2 * margin, side + 2 * margin), np.uint8)
    for top, left in np.argwhere(np.hypot(near[:, None], near) <= margin):
        below = dilated[top : top + side, left : left + side]
        np.maximum(below, cover, out=below)
    return dilated
