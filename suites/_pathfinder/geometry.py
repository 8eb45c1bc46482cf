"""Pixels as numbers, and where a path may go on.

Pixels are numbered row by row over the image and a frame around it, so that a displacement is a
number to add and nothing near the border needs a test of its own: the frame is never free.
"""

from functools import cache
from math import atan2, cos, floor, pi, sin
from typing import NamedTuple, final, no_type_check

import numpy as np

from suites._pathfinder.raster import Place
from suites._pathfinder.style import Style


@no_type_check  # called some hundred times an image, too often for checks in tests
@final
class Grid:
    """The numbered pixels of a style and a margin."""

    def __init__(self, style: Style, margin: int) -> None:
        self.style, self.margin = style, margin
        self.half = style.reach(margin) + margin
        """How far around its tip a dash keeps others away."""
        self.frame = self.half + 2
        self.width = style.size + 2 * self.frame

    def pixel(self, row: int, column: int) -> int:
        """Return the number of a row and a column of the image."""
        return (row + self.frame) * self.width + column + self.frame

    def place(self, pixel: int) -> Place:
        """Return a pixel's row and column in the image."""
        row, column = divmod(pixel, self.width)
        return row - self.frame, column - self.frame

    def move(self, angle: float, distance: int) -> int:
        """Return a displacement, rounded to the nearest pixel."""
        down, right = displacement(angle, distance)
        return down * self.width + right


class Candidate(NamedTuple):
    """A pixel at which the next dash may end, as a displacement from its pivot."""

    down: int
    right: int
    weight: int
    """In proportion to its probability; whole, so that sums are the same on every machine."""

    @property
    def towards(self) -> float:
        """Return the angle from the pivot."""
        return atan2(self.down, self.right)


def displacement(angle: float, distance: int) -> Place:
    """Return rows down and columns right, rounded to the nearest pixel.

    The little that is added decides halves alike on every machine.
    """
    return floor(distance * sin(angle) + 0.5 + 1e-9), floor(distance * cos(angle) + 0.5 + 1e-9)


@cache
def circle(style: Style, margin: int) -> list[Place]:
    """Return the displacements, about a pixel apart, from a pivot to where a dash may end."""
    radius = style.dash + margin
    angles = np.arange(0, 2 * pi, 1 / radius).tolist()
    return sorted({displacement(angle, radius) for angle in angles})


def candidates(style: Style, margin: int, course: float) -> list[Candidate]:
    """Return where a dash may end after one in the direction of the course.

    A turn by t weighs cos(min(continuity |t|, pi / 2)) squared.
    """
    found = []
    for down, right in circle(style, margin):
        turn = abs(atan2(down, right) - course)
        bent = style.continuity * min(turn, 2 * pi - turn)
        if weight := round(cos(min(bent, pi / 2)) ** 2 * 2**20):
            found.append(Candidate(down, right, weight))
    return found
