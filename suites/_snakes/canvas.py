"""Grows single paths, dash by dash, on the pixels that are left."""

from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from math import radians
from typing import final, no_type_check

from suites._snakes.grid import Dash, Grid, Turns

DRAWS = 3
"""Of an end for a dash, or of a second seed, until the path is given up."""
LOOKS = 256
"""Random pixels at which a short path tries to begin, until there seems to be no room."""


@final
@dataclass(slots=True)
class Path:
    """A path as far as it has grown."""

    start: int
    """The first pivot: the pixel a margin before the first dash."""
    pivot: int
    """The pixel a margin before the last dash."""
    turns: Turns
    """How it may go on."""
    tips: list[int]
    """The outer tip of the first dash, then the far end of every further one."""
    dashes: list[Dash]
    """Each dash; the first starts at the first tip, all others at the tip that they end with."""


@no_type_check  # called some fifty thousand times an image, too often for checks in tests
@final
class Canvas:
    """The pixels that are taken, and the ways to take more."""

    def __init__(self, grid: Grid, draw: Callable[[], float]) -> None:
        self.grid, self.draw = grid, draw
        self.firm, self.near = grid.firm, grid.near

    def degrees(self) -> int:
        """Draw an angle."""
        return int(self.draw() * 360) - 180

    def begun(self, tip: int, degrees: int) -> Path:
        """Return a path of one dash, wherever it may lie."""
        angle = radians(degrees)
        start = tip - self.grid.move(angle, self.grid.margin)
        return Path(start, start, self.grid.turns(angle), [tip], [self.grid.dash(angle)])

    def extended(self, path: Path, beside: Path | None = None) -> bool:
        """Draw the next dash of a path; tell whether there was room.

        What the dash before it takes is entered only now, or it would stand in the way.

        Args:
            path: What to extend.
            beside: The path that grows by turns with it, whose last dash is not entered either.
        """
        turns = path.turns
        pivot = path.pivot + turns.pivot
        heap, blocked = turns.heap, self.near >> (pivot - self.grid.corner) & turns.window
        if blocked:
            ends = zip(turns.bits, turns.weights, strict=True)
            heap = list(accumulate([0 if bit & blocked else weight for bit, weight in ends]))
        for _ in range(DRAWS if heap[-1] else 0):
            chosen = bisect(heap, self.draw() * heap[-1])
            tip, dash = pivot + turns.ends[chosen], turns.dashes[chosen]
            if self.fits(tip, dash) and not (beside and touches(tip, dash, beside)):
                self.enter(path)
                path.pivot, path.turns = pivot, self.grid.turns(turns.angles[chosen])
                path.tips.append(tip)
                path.dashes.append(dash)
                return True
        return False

    def fits(self, pixel: int, dash: Dash) -> bool:
        """Tell whether a dash and its margin overlap nothing."""
        return not self.firm >> (pixel - self.grid.corner) & dash.firm

    def enter(self, path: Path) -> None:
        """Enter what the last dash of a path takes."""
        shift, dash = path.tips[-1] - self.grid.corner, path.dashes[-1]
        self.firm |= dash.firm << shift
        self.near |= dash.near << shift

    def crowded(self) -> bool:
        """Tell whether less than one pixel in a hundred is free."""
        free = self.grid.width**2 - self.firm.bit_count()
        return free < 0.01 * self.grid.style.size**2

    def room(self, degrees: int) -> int | None:
        """Draw a pixel at which a path may begin into a direction, or None where none is found."""
        dash, size = self.grid.dash(radians(degrees)), self.grid.style.size
        for _ in range(LOOKS):
            tip = self.grid.pixel(int(self.draw() * size), int(self.draw() * size))
            if self.fits(tip, dash):
                return tip
        return None


@no_type_check
def touches(pixel: int, dash: Dash, other: Path) -> bool:
    """Tell whether a dash and its margin overlap the last dash of a path."""
    apart, last = pixel - other.tips[-1], other.dashes[-1].firm
    return bool((last >> apart if apart > 0 else last << -apart) & dash.firm)
