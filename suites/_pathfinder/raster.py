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
from scipy.ndimage import distance_transform_edt

from suites._pathfinder.style import Style

EDGE = 1e-6
"""Widens every shape, so that no pixel's fate hangs on the last bit of a sine."""
FULL = 255
SUPPORT = 3
"""How many pixels away Lanczos looks; as much is drawn around a shape and cut off again."""
COVERED, HALF_COVERED = 0.9 * FULL, 0.5 * FULL
"""Two pixels covered this much come to 1.8, the published bound for an overlap; no dash ends within
a margin of one that is half covered."""

Place = tuple[int, int]
"""Row and column of a pixel."""
Pixels = UInt8[np.ndarray, "p p"]
Raster = UInt8[np.ndarray, "s s"]


class Dash(NamedTuple):
    """A dash from its tip at the centre."""

    image: Raster
    """The dash alone at its contrast, with the faint ring that Lanczos draws around it."""
    cover: Raster
    """How much of each pixel the dash and its margin cover."""
    mask: Bool[np.ndarray, "s2 s2"]
    dilated: Bool[np.ndarray, "s2 s2"]


def dash(style: Style, margin: int, orientation: float) -> Dash:
    """Draw a dash, its mask and the mask dilated, the latter two a margin wider on every side."""
    y, x = _fine_grid(style.reach(margin) + SUPPORT, style.antialias)
    along = x * cos(orientation) + y * sin(orientation)
    across = y * cos(orientation) - x * sin(orientation)
    before_or_behind = np.maximum(np.maximum(-along, along - style.dash), 0)
    beside = np.maximum(np.abs(across) - style.thickness / 2, 0)
    distance = np.hypot(before_or_behind, beside)
    cover = _reduced(distance <= margin + EDGE, style.antialias)
    wide = np.pad(cover, margin)
    full = _reduced(distance <= EDGE, style.antialias)
    return Dash(
        image=((full.astype(int) * style.contrast + 50) // 100).astype(np.uint8),
        cover=cover,
        mask=wide >= COVERED,
        dilated=distance_transform_edt(wide < HALF_COVERED) <= margin,
    )


@lru_cache
def disc(style: Style) -> Raster:
    """Draw a filled disc."""
    y, x = _fine_grid(ceil(style.disc) + 2 * SUPPORT, style.antialias)
    return _reduced(np.hypot(y, x) <= style.disc + EDGE, style.antialias)


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


def _reduced(filled: Bool[np.ndarray, "fine fine"], antialias: int) -> Raster:
    side = len(filled) // antialias
    image = Image.fromarray(np.where(filled, FULL, 0).astype(np.uint8))
    whole = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
    return whole[SUPPORT:-SUPPORT, SUPPORT:-SUPPORT]
