"""What a dash takes from others, and where a path may turn to with its next one.

Angles are in radians from right (0) to down (pi / 2), moves are rows down and columns right.

Axes: s side of a stamp around the pixel that a dash starts at.
"""

from functools import cache
from math import atan2, cos, floor, pi, sin
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import distance_transform_edt

from suites._snakes.brush import FULL, Stroke, stroke
from suites._snakes.style import Style

FIRM, HALF = 0.9 * FULL, 0.5 * FULL
"""Two masks this firm come to 1.8, the published bound; no dash ends a margin from half a mask."""
DRAWS = 3
"""Of an end for a dash, or of a second seed, until the path is given up."""


class Dash(NamedTuple):
    """A dash as it is painted and as the pixels it takes."""

    stroke: Stroke
    firm: Bool[np.ndarray, "s s"]
    """Which no other dash and its margin may take."""
    near: Bool[np.ndarray, "s s"]
    """In which no other dash may end."""


class End(NamedTuple):
    """A pixel, as a move from the pivot, at which the next dash may end."""

    down: int
    right: int
    weight: int
    """In proportion to its probability; whole, so that sums are the same on every machine."""

    @property
    def towards(self) -> float:
        """Return the angle from the pivot."""
        return atan2(self.down, self.right)

    @property
    def back(self) -> float:
        """Return the angle at which the dash is drawn, from its end."""
        return atan2(-self.down, -self.right)


@cache
def dash(style: Style, margin: int, angle: float) -> Dash:
    """Return a dash and its margin, drawn from the centre of a stamp."""
    drawn = stroke(style.dash, style.thickness, margin, style.antialias, angle)
    mask = np.pad(drawn.mask, margin)
    return Dash(drawn, mask >= FIRM, distance_transform_edt(mask < HALF) <= margin)


@cache
def circle(style: Style, margin: int) -> list[tuple[int, int]]:
    """Return the pixels, about one apart, at which a dash may end, as moves from the pivot."""
    step = style.dash + margin
    return sorted({moved(direction, step) for direction in np.arange(0, 2 * pi, 1 / step).tolist()})


def ends(style: Style, margin: int, angle: float) -> list[End]:
    """Return where a path may end after a dash at an angle.

    A turn by t weighs cos(min(continuity |t|, pi / 2)) squared.
    """
    found = []
    for down, right in circle(style, margin):
        turn = abs(atan2(down, right) - angle)
        bent = style.continuity * min(turn, 2 * pi - turn)
        if weight := round(cos(min(bent, pi / 2)) ** 2 * 2**20):
            found.append(End(down, right, weight))
    return found


def moved(angle: float, distance: int) -> tuple[int, int]:
    """Return a move as rows down and columns right, rounded to the nearest pixel.

    The little that is added decides halves alike on every machine.
    """
    return floor(distance * sin(angle) + 0.5 + 1e-9), floor(distance * cos(angle) + 0.5 + 1e-9)
