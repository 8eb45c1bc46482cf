"""Grows short paths, dash by dash, on the pixels that are left."""

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import radians
from typing import final, no_type_check

from suites._snakes.dashes import DRAWS
from suites._snakes.grid import Grid, Turns

LOOKS = 256
"""Random pixels at which a short path tries to begin, until there seems to be no room."""
TRIES = 5
"""To draw a short path, until there is one fewer."""


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
    angles: list[float]
    """At which each dash is drawn from its tip."""


@no_type_check  # called some thousand times an image, too often for checks in tests
@final
class Canvas:
    """The pixels that are taken, and the ways to take more."""

    def __init__(self, grid: Grid, draw: Callable[[], float]) -> None:
        self.grid, self.draw = grid, draw
        self.firm, self.near = grid.firm, grid.near

    def short_paths(self) -> list[Path]:
        """Draw short paths where room is left."""
        drawn = (self._short() for _ in range(self.grid.style.distractors))
        return [path for path in drawn if path is not None]

    def enter(self, tips: Sequence[int], angles: Sequence[float]) -> None:
        """Enter what dashes take."""
        for tip, angle in zip(tips, angles, strict=True):
            shift, taken = tip - self.grid.corner, self.grid.taken(angle)
            self.firm |= taken.firm << shift
            self.near |= taken.near << shift

    def fits(self, tip: int, angle: float) -> bool:
        """Tell whether a dash and its margin overlap nothing."""
        return not self.firm >> (tip - self.grid.corner) & self.grid.taken(angle).firm

    def crowded(self) -> bool:
        """Tell whether less than one pixel in a hundred is free."""
        free = self.grid.width**2 - self.firm.bit_count()
        return free < 0.01 * self.grid.style.size**2

    def room(self, angle: float) -> int | None:
        """Draw a pixel at which a path may begin into a direction, or None where none is found."""
        size = self.grid.style.size
        for _ in range(LOOKS):
            tip = self.grid.pixel(int(self.draw() * size), int(self.draw() * size))
            if self.fits(tip, angle):
                return tip
        return None

    def extended(self, path: Path) -> bool:
        """Draw the next dash of a path; tell whether there was room.

        What the dash before it takes is entered only now, or it would stand in the way.
        """
        turns = path.turns
        pivot = path.pivot + turns.pivot
        heap, blocked = turns.heap, self.near >> (pivot - self.grid.corner) & turns.window
        if blocked:
            ends = zip(turns.bits, turns.ends, strict=True)
            heap = list(accumulate([0 if bit & blocked else end.weight for bit, end in ends]))
        for _ in range(DRAWS if heap[-1] else 0):
            chosen = bisect(heap, self.draw() * heap[-1])
            tip, end = pivot + turns.moves[chosen], turns.ends[chosen]
            if self.fits(tip, end.back):
                self.enter(path.tips[-1:], path.angles[-1:])
                path.pivot, path.turns = pivot, self.grid.turns(end.towards)
                path.tips.append(tip)
                path.angles.append(end.back)
                return True
        return False

    def _short(self) -> Path | None:
        before = self.firm, self.near
        for _ in range(0 if self.crowded() else TRIES):
            angle = radians(int(self.draw() * 360) - 180)
            tip = self.room(angle)
            if tip is None:
                continue
            start = tip - self.grid.move(angle, self.grid.margin)
            path = Path(start, start, self.grid.turns(angle), [tip], [angle])
            if all(self.extended(path) for _ in range(self.grid.style.distractor - 1)):
                self.enter(path.tips[-1:], path.angles[-1:])
                return path
            self.firm, self.near = before
        return None
