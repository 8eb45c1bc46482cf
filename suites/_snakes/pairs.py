"""Grows pairs of long paths, many attempts at once: of some hundreds, one may come to its end.

The paths grow by turns, dash by dash, and an attempt is given up when one of them finds no room.
Pixels and moves are numbers of a grid.

Axes: a attempts, n dashes, u uniform numbers, o ends to choose from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int

from suites._snakes import room
from suites._snakes.dashes import DRAWS
from suites._snakes.room import Close
from suites._snakes.ways import DEGREES, Ways

FEWEST, MOST = 16, 256
"""Attempts at an image at first; as often as all fail, twice as many, up to the most."""
SEEDS = 3 + 2 * DRAWS
"""Uniform numbers that begin an attempt."""


@final
@dataclass(frozen=True)
class Pairs:
    """Attempts as far as they have grown, the dashes of both paths in turn."""

    number: Int[np.ndarray, " a"]
    """Of each attempt among all that were begun."""
    pivots: Int[np.ndarray, "a 2"]
    """The pixels a margin before the last but one dash and before the last."""
    tips: Int[np.ndarray, "a n"]
    """The outer tips of both first dashes, then the far ends of the further ones."""
    ways: Int[np.ndarray, "a n"]
    """The way that each dash is."""

    def where(self, which: slice | Bool[np.ndarray, " a"] | Int[np.ndarray, " k"]) -> "Pairs":
        """Return some of the attempts."""
        return Pairs(self.number[which], self.pivots[which], self.tips[which], self.ways[which])


def grown(ways: Ways, rngs: Sequence[np.random.Generator]) -> list[Pairs]:
    """Draw one whole pair of long paths from each generator."""
    found: dict[int, Pairs] = {}
    attempts = FEWEST
    while waiting := [image for image in range(len(rngs)) if image not in found]:
        uniform = np.concatenate([rngs[image].random((attempts, draws(ways))) for image in waiting])
        whole = attempted(ways, uniform)
        images, first = np.unique(whole.number // attempts, return_index=True)
        for image, at in zip(images.tolist(), first.tolist(), strict=True):
            found[waiting[image]] = whole.where(slice(at, at + 1))
        attempts = min(2 * attempts, MOST)
    return [found[image] for image in range(len(rngs))]


def draws(ways: Ways) -> int:
    """Return how many uniform numbers an attempt has at its disposal."""
    return SEEDS + 2 * (ways.grid.style.dashes - 1) * DRAWS


def attempted(ways: Ways, uniform: Float[np.ndarray, "a u"]) -> Pairs:
    """Make attempts, each from its own row of uniform numbers, and return those that succeed."""
    pairs: Pairs = _begun(ways, uniform[:, :SEEDS])
    for own in range(SEEDS, draws(ways), DRAWS):
        pairs = _extended(ways, pairs, uniform[:, own : own + DRAWS])
    return pairs


@no_type_check  # called some hundred times for a few images, as all that follows
def _begun(ways: Ways, uniform: Float[np.ndarray, "a u"]) -> Pairs:
    """Draw both first dashes.

    One lies twice the seeds' distance away from every border, the other begins at this distance
    from where the first does.
    """
    grid = ways.grid
    way = (uniform[:, 0] * len(DEGREES)).astype(int)
    border, box = 2 * grid.style.seed_distance, ways.box[way]
    wide = grid.style.size - 2 * border - box[:, 2:] + 1
    tip = grid.pixel(*(border - box[:, :2] + (uniform[:, 1:3] * wide).astype(int)).T)
    number = (wide > 0).all(1).nonzero()[0]
    tip, way = tip[number], way[number]
    angles = (uniform[number, 3:].reshape(-1, DRAWS, 2) * len(DEGREES)).astype(int)
    tips, others = tip[:, None] + ways.across[angles[..., 0]], angles[..., 1]
    first = Close(np.arange(len(tip)), np.zeros(len(tip), int), tip, way)
    fit = np.stack([room.fits(ways, first, tips[:, i], others[:, i]) for i in range(DRAWS)], 1)
    chosen = np.arange(len(tip)), fit.argmax(1)
    tips, drawn = np.stack([tip, tips[chosen]], 1), np.stack([way, others[chosen]], 1)
    return Pairs(number, tips - ways.forward[drawn], tips, drawn).where(fit.any(1))


@no_type_check
def _extended(ways: Ways, pairs: Pairs, uniform: Float[np.ndarray, "a u"]) -> Pairs:
    """Draw one more dash of each attempt; those without room are left out."""
    last = pairs.ways[:, -2]
    pivot = pairs.pivots[:, 0] + ways.pivot[last]
    ends = pivot[:, None] + ways.ends[last]
    weights = np.where(ways.border[ends], 0, ways.weights[last])
    inside = weights.any(1)
    pairs, pivot, ends, weights = pairs.where(inside), pivot[inside], ends[inside], weights[inside]
    older = room.close(ways, pivot, pairs.tips, pairs.ways)
    # Ends may come near to the newest dash of either path, a dash to the newest of its own.
    own = pairs.tips.shape[1] - 2
    heap = room.free(ways, older.where(older.dash < own), ends, weights).cumsum(1)
    following, older = ways.next[pairs.ways[:, -2]], older.where(older.dash != own)
    chosen = _chosen(ways, older, ends, following, heap, uniform[pairs.number])
    rows = (chosen >= 0).nonzero()[0]
    tip, way = ends[rows, chosen[rows]], following[rows, chosen[rows]]
    pairs = pairs.where(rows)
    return Pairs(
        pairs.number,
        np.stack([pairs.pivots[:, 1], pivot[rows]], 1),
        np.concatenate([pairs.tips, tip[:, None]], 1),
        np.concatenate([pairs.ways, way[:, None]], 1),
    )


@no_type_check
def _chosen(
    ways: Ways,
    older: Close,
    ends: Int[np.ndarray, "a o"],
    following: Int[np.ndarray, "a o"],
    heap: Int[np.ndarray, "a o"],
    uniform: Float[np.ndarray, "a u"],
) -> Int[np.ndarray, " a"]:
    """Draw an end of each attempt, again where its dash does not fit; -1 where none does."""
    chosen = np.full(len(heap), -1)
    rows = heap[:, -1].nonzero()[0]
    for number in range(DRAWS):
        aim = uniform[rows, number] * heap[rows, -1]
        drawn = (heap[rows] <= aim[:, None]).sum(1)
        fit = room.fits(ways, older.of(rows), ends[rows, drawn], following[rows, drawn])
        chosen[rows[fit]] = drawn[fit]
        rows = rows[~fit]
    return chosen
