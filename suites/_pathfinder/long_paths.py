"""Grows pairs of long paths, many attempts at once: of some hundreds, one may come to its end.

The paths grow by turns, dash by dash, and an attempt is given up when one of them finds no room.

Axes: a attempts, n dashes of both paths in turn.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, final, no_type_check

import numpy as np
from jaxtyping import Float, Int

from suites._pathfinder.collisions import Neighbours, block, first_fit, neighbours
from suites._pathfinder.tables import DEGREES, Tables

TRIALS = 3
"""Ends drawn for a dash, or places for the other path's first one, until an attempt is given up."""
FIRST_BATCH, LARGEST_BATCH = 16, 256
"""Attempts at an image draw their numbers in batches, each twice as large as the one before."""
ROWS = 1024
"""Attempts under way at once."""
NONE, NOWHERE = 2**62, -(2**62)


class PathPair(NamedTuple):
    """Both long paths of an image, their dashes in turn."""

    tips: Int[np.ndarray, " n"]
    orientations: Int[np.ndarray, " n"]


def long_paths(tables: Tables, rngs: Sequence[np.random.Generator]) -> list[PathPair]:
    """Draw the long paths of an image from each generator, by its first attempt that succeeds.

    A generator has then drawn the numbers of whole batches of attempts, however many were made.
    """
    growth = Growth(tables, rngs)
    while growth.unfinished():
        growth.begin()
        growth.extend()
    return growth.finish()


@no_type_check  # called some hundred times for a few images, too often for checks in tests
@final
class Growth:
    """Attempts at the long paths of images, begun where there is room, each at its own step."""

    def __init__(self, tables: Tables, rngs: Sequence[np.random.Generator]) -> None:
        self.tables, self.rngs = tables, rngs
        self.dashes = 2 * tables.grid.style.dashes
        self.begun = np.zeros(len(rngs), int)
        """The attempts that were begun at each image."""
        self.success = np.full(len(rngs), NONE)
        """The first of them that is known to come to its end."""
        self.found: dict[int, PathPair] = {}
        self.tried, self.fitted = np.zeros((2, self.dashes), int)
        """How often a dash was wanted after so many, and how often there was room for it."""
        self.live = np.arange(0)
        """The attempts under way, as rows of the arrays that follow."""
        self.image, self.number, self.drawn = np.zeros((3, ROWS), int)
        """An attempt's image, its number among the image's attempts, its dashes so far."""
        self.pivots = np.zeros((ROWS, 2), int)
        """Of the last dash of each path."""
        self.tips, self.orientations = np.zeros((2, ROWS, self.dashes), int)
        self.uniform = np.zeros((ROWS, 3 + TRIALS * self.dashes))

    def unfinished(self) -> bool:
        """Tell whether attempts are wanted or under way."""
        return len(self.live) > 0 or len(self.found) < len(self.rngs)

    def begin(self) -> None:
        """Begin attempts, if there is room for many.

        Images get more while those under way are expected to bring less than one success.
        """
        room, chances = ROWS - len(self.live), self._chances()
        hopes = np.bincount(self.image[self.live], chances[self.drawn[self.live]], len(self.rngs))
        images = ((self.success == NONE) & (hopes < 1)).nonzero()[0][: room // FIRST_BATCH]
        if 2 * room < ROWS or not len(images):
            return
        wanted = (1 - hopes[images]) / chances[2]
        shares = wanted.clip(FIRST_BATCH, room // len(images)).astype(int)
        free = np.ones(ROWS, bool)
        free[self.live] = False
        rows = free.nonzero()[0][: shares.sum()]
        for image, own in zip(images.tolist(), np.split(rows, shares.cumsum()[:-1]), strict=True):
            self.image[own] = image
            self.number[own] = self.begun[image] + np.arange(len(own))
            self.uniform[own] = self.rngs[image].random((len(own), self.uniform.shape[1]))
        self.begun[images] += shares
        self._first_dashes(rows)

    def _chances(self) -> Float[np.ndarray, " n"]:
        """Estimate how probable it is for an attempt with so many dashes to come to its end."""
        overall = (self.fitted.sum() + 1) / (self.tried.sum() + 1)
        shares: Float[np.ndarray, " n"] = (self.fitted + overall) / (self.tried + 1)
        return shares[::-1].cumprod()[::-1]

    def _first_dashes(self, rows: Int[np.ndarray, " a"]) -> None:
        """Draw the first dash of both paths.

        One lies twice the seeds' distance away from every border, the other begins at this distance
        from where the first does.
        """
        tables, grid, uniform = self.tables, self.tables.grid, self.uniform[rows].T
        orientation = (uniform[0] * len(DEGREES)).astype(int)
        box = np.stack([tables.high[orientation], tables.wide[orientation]])
        border = 2 * grid.style.seed_distance
        extent = grid.style.size - 2 * border - box + 1
        down, right = (uniform[1:3] * extent).astype(int)
        start = grid.pixel(border, border) + down * grid.width + right
        tip, number = start - tables.corner[orientation], np.arange(len(rows))
        degrees = (uniform[3 : 3 + 2 * TRIALS] * len(DEGREES)).astype(int)
        tips, orientations = tip + tables.second[degrees[::2]], degrees[1::2]
        first = Neighbours(number, 0 * number, tip, orientation)
        fit = first_fit(tables, first, tips, orientations)
        self.tips[rows] = NOWHERE
        self.tips[rows, :2] = np.stack([tip, tips[fit, number]], 1)
        self.orientations[rows, :2] = np.stack([orientation, orientations[fit, number]], 1)
        self.pivots[rows] = self.tips[rows, :2] - tables.back[self.orientations[rows, :2]]
        self.drawn[rows] = 2
        self.live = np.append(self.live, rows[(fit >= 0) & (extent > 0).all(0)])

    def extend(self) -> None:
        """Draw one more dash of each attempt; give up those without room."""
        tables, live, drawn = self.tables, self.live, self.drawn[self.live]
        last = self.orientations[live, drawn - 2]
        pivot = self.pivots[live, drawn % 2] + tables.pivot[last]
        ends = pivot + tables.ends.take(last, 1)
        weights = np.where(tables.border.take(ends), 0, tables.weights.take(last, 1))
        # Ends may come near to the newest dash of either path, a dash to the newest of its own.
        earlier = neighbours(tables, pivot, self.tips, self.orientations, live)
        own = (drawn - 2)[earlier.attempt]
        block(tables, earlier.where(earlier.dash < own), ends, weights)
        for before, to_here in pairwise(weights):  # numpy's `cumsum` is slow in this direction
            np.add(before, to_here, out=to_here)
        aims = self.uniform[live, 3 + TRIALS * drawn + np.arange(TRIALS)[:, None]] * weights[-1]
        chosen, number = (weights[:-1, None] <= aims).sum(0), np.arange(len(live))
        tips, orientations = ends[chosen, number], tables.turned[chosen, last]
        fit = first_fit(tables, earlier.where(earlier.dash != own), tips, orientations)
        self.tried += np.bincount(drawn, minlength=self.dashes)
        grown = ((fit >= 0) & (weights[-1] > 0)).nonzero()[0]
        self.live, fit, drawn = live[grown], fit[grown], drawn[grown]
        self.fitted += np.bincount(drawn, minlength=self.dashes)
        self.tips[self.live, drawn] = tips[fit, grown]
        self.orientations[self.live, drawn] = orientations[fit, grown]
        self.pivots[self.live, drawn % 2] = pivot[grown]
        self.drawn[self.live] += 1
        self._keep()

    def _keep(self) -> None:
        """Keep what has come to its end; give up the attempts that come after such a one."""
        for row in self.live[self.drawn[self.live] == self.dashes].tolist():
            image, number = int(self.image[row]), self.number[row]
            if number < self.success[image]:
                self.success[image] = number
                self.found[image] = PathPair(self.tips[row].copy(), self.orientations[row].copy())
        self.live = self.live[self.number[self.live] < self.success[self.image[self.live]]]

    def finish(self) -> list[PathPair]:
        """Leave every generator where the batch of its success ends, and return what was found."""
        for image, rng in enumerate(self.rngs):
            end, batch = 0, FIRST_BATCH
            while end <= self.success[image]:
                end, batch = end + batch, min(2 * batch, LARGEST_BATCH)
            assert isinstance(rng.bit_generator, np.random.PCG64)
            rng.bit_generator.advance((end - int(self.begun[image])) * self.uniform.shape[1])
        return [self.found[image] for image in range(len(self.rngs))]
