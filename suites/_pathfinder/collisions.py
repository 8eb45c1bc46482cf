"""Tells for many new dashes at once what earlier ones leave them.

No image is kept: a dash is compared with those before it that are near enough to matter.

Axes: a attempts, t trials, n dashes, c candidates, p pairs of a new dash and an earlier one.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Bool, Int

from suites._pathfinder.tables import Tables


class Neighbours(NamedTuple):
    """Pairs of an attempt's next dash and an earlier one that is near enough to matter."""

    attempt: Int[np.ndarray, " p"]
    dash: Int[np.ndarray, " p"]
    """The number of the earlier dash; the next two are its tip and its orientation."""
    tip: Int[np.ndarray, " p"]
    orientation: Int[np.ndarray, " p"]

    def where(self, which: Bool[np.ndarray, " p"]) -> "Neighbours":
        """Return some of the pairs."""
        chosen = which.nonzero()[0]
        return Neighbours(*[column[chosen] for column in self])


@no_type_check  # called some hundred times for a few images, as all that follows
def neighbours(
    tables: Tables,
    pivots: Int[np.ndarray, " a"],
    tips: Int[np.ndarray, "rows n"],
    orientations: Int[np.ndarray, "rows n"],
    attempts: Int[np.ndarray, " a"],
) -> Neighbours:
    """Find the dashes that may matter to another one around a pivot, in the rows of attempts."""
    apart = tips[attempts] - (pivots - tables.grid.width**2)[:, None]
    attempt, dash = tables.near.take(apart, mode="clip").nonzero()
    row = attempts[attempt]
    return Neighbours(attempt, dash, tips[row, dash], orientations[row, dash])


@no_type_check
def block(
    tables: Tables,
    earlier: Neighbours,
    ends: Int[np.ndarray, "c a"],
    weights: Int[np.ndarray, "c a"],
) -> None:
    """Set the weights of candidates to 0 that lie in the dilated mask of an earlier dash."""
    size = tables.dilated.shape[1]
    apart = ends.take(earlier.attempt, 1)
    apart -= earlier.tip - size // 2
    np.clip(apart, 0, size - 1, out=apart)
    apart += earlier.orientation * size
    candidate, pair = tables.dilated.take(apart).nonzero()
    weights[candidate, earlier.attempt[pair]] = 0


@no_type_check
def first_fit(
    tables: Tables,
    earlier: Neighbours,
    tips: Int[np.ndarray, "t a"],
    orientations: Int[np.ndarray, "t a"],
) -> Int[np.ndarray, " a"]:
    """Return the first trial of each attempt whose mask overlaps nothing, -1 where each does."""
    first = np.full(tips.shape[1], -1)
    for trial in range(len(tips)):
        fit = fits(tables, earlier, tips[trial], orientations[trial])
        first[fit & (first < 0)] = trial
        earlier = earlier.where(first[earlier.attempt] < 0)
    return first


@no_type_check
def fits(
    tables: Tables,
    earlier: Neighbours,
    tips: Int[np.ndarray, " a"],
    orientations: Int[np.ndarray, " a"],
) -> Bool[np.ndarray, " a"]:
    """Tell which new dashes have a mask that overlaps neither the border nor an earlier one's."""
    width, high, wide = tables.grid.width, tables.high[orientations], tables.wide[orientations]
    starts = tips + tables.corner[orientations]
    fit = tables.inside.take(starts, mode="clip")
    fit &= tables.inside.take(starts + (high - 1) * width + wide - 1, mode="clip")
    new, other = earlier.attempt, earlier.orientation
    # From the corner of the new mask's box to that of the other's.
    apart = earlier.tip + tables.corner[other] - starts[new]
    down = (apart + width // 2) // width
    right = apart - down * width
    meet = (down < high[new]) & (-down < tables.high[other])
    meet &= (right < wide[new]) & (-right < tables.wide[other])
    new, other, down, right = new[meet], other[meet, None], down[meet, None], right[meet, None]
    third = tables.bits.shape[1] // 3
    bits = tables.bits[other, np.arange(third, 2 * third) - down]
    bits <<= np.maximum(right, 0).astype(np.uint64)
    bits >>= np.maximum(-right, 0).astype(np.uint64)
    bits &= tables.bits[orientations[new], third : 2 * third]
    fit[new[bits.any(1)]] = False
    return fit
