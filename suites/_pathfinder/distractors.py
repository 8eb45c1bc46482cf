"""Grows short paths, dash by dash, on the pixels that are left."""

from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from typing import final, no_type_check

import numpy as np

from suites._pathfinder.long_paths import TRIALS
from suites._pathfinder.raster import COVERED, FULL
from suites._pathfinder.tables import DEGREES, Tables

TIP_TRIALS = 256
"""Random pixels at which a path tries to begin, until there seems to be no room."""
PATH_TRIALS = 5
"""To draw a path, until there is one fewer."""


@final
@dataclass(slots=True)
class Distractor:
    """A path as far as it has grown."""

    start: int
    """The pivot of the first dash."""
    pivot: int
    """Of the last dash."""
    tips: list[int]
    orientations: list[int]


@no_type_check  # called some hundred times an image, too often for checks in tests
@final
class Canvas:
    """The pixels that are taken, and the ways to take more."""

    def __init__(self, tables: Tables, draw: Callable[[], float]) -> None:
        self.tables, self.grid, self.style = tables, tables.grid, tables.grid.style
        self.draw = draw
        square = self.grid.width, self.grid.width
        self.covered = np.where(tables.inside, 0, FULL).astype(np.uint8).reshape(square)
        self.dilated = np.where(tables.border, FULL, 0).astype(np.uint8).reshape(square)

    def distractors(self) -> list[Distractor]:
        """Draw short paths where room is left."""
        drawn = [self._distractor() for _ in range(self.style.distractors)]
        return [path for path in drawn if path is not None]

    def enter(self, tip: int, orientation: int) -> None:
        """Enter the masks of a dash."""
        dash, around = self.tables.dashes[orientation], self._around(tip)
        np.maximum(self.covered[around], dash.cover, out=self.covered[around])
        np.maximum(self.dilated[around], dash.dilated, out=self.dilated[around])

    def fits(self, tip: int, orientation: int) -> bool:
        """Tell whether the mask of a dash overlaps nothing."""
        return bool((self.covered[self._around(tip)] <= self.tables.dashes[orientation].room).all())

    def crowded(self) -> bool:
        """Tell whether less than one pixel in a hundred is free."""
        free = np.count_nonzero(self.covered < COVERED)
        return bool(free < 0.01 * self.style.size**2)

    def tip(self, orientation: int) -> int | None:
        """Draw a pixel at which a path may begin, or None where none is found."""
        size = self.style.size
        for _ in range(TIP_TRIALS):
            tip = self.grid.pixel(int(self.draw() * size), int(self.draw() * size))
            if self.fits(tip, orientation):
                return tip
        return None

    def extended(self, path: Distractor) -> bool:
        """Draw the next dash of a path; tell whether there was room.

        The masks of the dash before it are entered only now, or they would stand in the way.
        """
        tables, last = self.tables, path.orientations[-1]
        pivot = path.pivot + int(tables.pivot[last])
        ends = pivot + tables.ends[:, last]
        sums = ((FULL - self.dilated.take(ends)) * tables.weights[:, last]).cumsum().tolist()
        for _ in range(TRIALS if sums[-1] else 0):
            chosen = bisect(sums, self.draw() * sums[-1])
            tip, orientation = int(ends[chosen]), int(tables.turned[chosen, last])
            if self.fits(tip, orientation):
                self.enter(path.tips[-1], path.orientations[-1])
                path.pivot = pivot
                path.tips.append(tip)
                path.orientations.append(orientation)
                return True
        return False

    def _around(self, tip: int) -> tuple[slice, slice]:
        """Return where a dash keeps others away."""
        (row, column), half = divmod(tip, self.grid.width), self.grid.half
        return slice(row - half, row + half + 1), slice(column - half, column + half + 1)

    def _distractor(self) -> Distractor | None:
        before = self.covered.copy(), self.dilated.copy()
        for _ in range(0 if self.crowded() else PATH_TRIALS):
            orientation = int(self.draw() * len(DEGREES))
            least, beyond = self.style.openings
            found = least <= DEGREES[orientation] < beyond
            tip = self.tip(orientation) if found else None
            if tip is None:
                continue
            start = tip - int(self.tables.back[orientation])
            path = Distractor(start, start, [tip], [orientation])
            if all(self.extended(path) for _ in range(self.style.distractor - 1)):
                self.enter(path.tips[-1], path.orientations[-1])
                return path
            self.covered[:], self.dilated[:] = before
        return None
