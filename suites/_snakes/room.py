"""Tells for many new dashes at once what those drawn before leave them.

No canvas is kept: a dash is compared with those before it that are close enough to matter. Pixels
and moves are numbers of a grid.

Axes: a attempts, n dashes drawn before, o ends to choose from, p pairs of a new dash and an older.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Int

from suites._snakes.ways import Ways


class Close(NamedTuple):
    """Pairs of a new dash and an older one of its attempt, close enough to matter."""

    attempt: Int[np.ndarray, " p"]
    dash: Int[np.ndarray, " p"]
    """The number of the older dash."""
    tip: Int[np.ndarray, " p"]
    """Of the older dash."""
    way: Int[np.ndarray, " p"]
    """Of the older dash."""

    def where(self, which: Bool[np.ndarray, " p"]) -> "Close":
        """Return some of the pairs."""
        return Close(*(column[which] for column in self))

    def of(self, attempts: Int[np.ndarray, " k"]) -> "Close":
        """Return the pairs of some attempts, which are numbered anew."""
        number = np.full(max(self.attempt.max(initial=0), attempts.max(initial=0)) + 1, -1)
        number[attempts] = np.arange(len(attempts))
        found = self._replace(attempt=number[self.attempt])
        return found.where(found.attempt >= 0)


@no_type_check  # called some hundred times for a few images, as all that follows
def close(
    ways: Ways,
    pivots: Int[np.ndarray, " a"],
    tips: Int[np.ndarray, "a n"],
    drawn: Int[np.ndarray, "a n"],
) -> Close:
    """Return the dashes that may matter to another one around a pivot."""
    attempt, dash = ways.close[tips - pivots[:, None] + ways.grid.width**2].nonzero()
    return Close(attempt, dash, tips[attempt, dash], drawn[attempt, dash])


@no_type_check
def free(
    ways: Ways, older: Close, ends: Int[np.ndarray, "a o"], weights: Int[np.ndarray, "a o"]
) -> Int[np.ndarray, "a o"]:
    """Return the weights of ends, 0 where an end lies too near to an older dash."""
    moves = ways.near.shape[1]
    apart = ends[older.attempt] - (older.tip - moves // 2)[:, None]
    np.clip(apart, 0, moves - 1, out=apart)
    pair, end = ways.near.ravel()[apart + (older.way * moves)[:, None]].nonzero()
    weights[older.attempt[pair], end] = 0
    return weights


@no_type_check
def fits(
    ways: Ways, older: Close, tips: Int[np.ndarray, " a"], drawn: Int[np.ndarray, " a"]
) -> Bool[np.ndarray, " a"]:
    """Tell which new dashes and their margins overlap neither the border nor an older dash."""
    grid, box = ways.grid, ways.box[drawn]
    start = np.stack(grid.place(tips), 1) + box[:, :2]
    least, most = grid.style.padding, grid.style.size - grid.style.padding
    inside = ((start >= least) & (start + box[:, 2:] <= most)).all(1)
    older = older.where(inside[older.attempt])
    apart = older.tip - tips[older.attempt]
    down = (apart + grid.width // 2) // grid.width
    apart = np.stack([down, apart - down * grid.width], 1)
    mine, theirs = box[older.attempt], ways.box[older.way]
    apart += theirs[:, :2] - mine[:, :2]
    meet = ((apart < mine[:, 2:]) & (-apart < theirs[:, 2:])).all(1)
    attempt, way, (down, right) = older.attempt[meet], older.way[meet], apart[meet].T
    rows = np.arange(ways.rows, 2 * ways.rows)
    theirs = ways.firm[way[:, None], rows - down[:, None]]
    left, right = (np.maximum(move, 0).astype(np.uint64)[:, None] for move in (right, -right))
    overlap = ways.firm[drawn[attempt], ways.rows : 2 * ways.rows] & (theirs << left >> right)
    inside[attempt[overlap.any(1)]] = False
    return inside
