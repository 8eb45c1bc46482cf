"""Draws single dashes and discs, finer than shown and reduced by Lanczos, to 8 bits.

Everything starts at a whole pixel and takes few angles, so each form is drawn once and kept. What
Pillow reduces are integers by integers, so the bytes are the same on every machine.

Axes: s side of a stamp, which is odd; its central pixel is where the form starts.
"""

from functools import lru_cache
from math import ceil, cos, sin
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

EDGE = 1e-6
"""Widens every form, so that no pixel's fate hangs on the last bit of a sine."""
FULL = 255
SUPPORT = 3
"""How many pixels away Lanczos looks; as much is drawn around a form and cut off again."""


class Stroke(NamedTuple):
    """A dash as two stamps."""

    image: UInt8[np.ndarray, "s s"]
    """The dash, with the faint ring that Lanczos draws around it."""
    mask: UInt8[np.ndarray, "s s"]
    """The dash with its margin all around: what it occupies."""


@lru_cache(maxsize=8192)
def stroke(length: int, thickness: float, margin: int, antialias: int, angle: float) -> Stroke:
    """Draw a dash that starts at the stamp's centre.

    Args:
        length: In pixels, as all lengths here.
        thickness: Across.
        margin: Around the dash, in the mask.
        antialias: How many times finer to draw.
        angle: In radians from right (0) to down (pi / 2).
    """
    reach = length + ceil(thickness) + margin
    y, x = _fine_grid(reach + SUPPORT, antialias)
    along, across = x * cos(angle) + y * sin(angle), y * cos(angle) - x * sin(angle)
    before_or_behind = np.maximum(np.maximum(-along, along - length), 0)
    beside = np.maximum(np.abs(across) - thickness / 2, 0)
    distance = np.hypot(before_or_behind, beside)
    return Stroke(
        _reduced(distance <= EDGE, antialias), _reduced(distance <= margin + EDGE, antialias)
    )


@lru_cache
def disc(radius: float, antialias: int) -> UInt8[np.ndarray, "s s"]:
    """Draw a filled disc."""
    y, x = _fine_grid(ceil(radius) + 2 * SUPPORT, antialias)
    return _reduced(np.hypot(y, x) <= radius + EDGE, antialias)


def _fine_grid(
    reach: int, antialias: int
) -> tuple[Float[np.ndarray, "s 1"], Float[np.ndarray, "1 s"]]:
    """Return where the fine pixels' centres lie, down and right of the central pixel's centre."""
    fine = (np.arange((2 * reach + 1) * antialias) + 0.5) / antialias - reach - 0.5
    return fine[:, None], fine[None]


def _reduced(filled: Bool[np.ndarray, "fine fine"], antialias: int) -> UInt8[np.ndarray, "s s"]:
    side = len(filled) // antialias
    image = Image.fromarray(np.where(filled, FULL, 0).astype(np.uint8))
    whole = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
    return whole[SUPPORT:-SUPPORT, SUPPORT:-SUPPORT]
