"""Splits windows into training, validation and test, one by one or a whole recording at a time.

Axes: n windows, l samples, c channels.
"""

import hashlib
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Int64

from harness.api import SpecError, Split
from suites.signals._recordings import overlaps, recordings

HELD_OUT = 0.15
"""Share of the windows whose recordings test, and as many validate."""
ALONE = 0.1
"""Largest share of windows that may overlap no other, if recordings are to be told apart."""

Rows = Mapping[Split, Int64[np.ndarray, " _"]]
"""Numbers of windows."""


def split_windows(count: int) -> Rows:
    """Split windows as the S4 repository does: 70 % train; half of the rest validate, half test.

    That is scikit-learn's `train_test_split` with the random states 0 and 1.
    """
    first, second = np.random.RandomState(0), np.random.RandomState(1)
    order = first.permutation(count)
    held = order[: math.ceil(0.3 * count)]
    held = held[second.permutation(len(held))]
    tested = math.ceil(0.5 * len(held))
    return {
        "train": order[math.ceil(0.3 * count) :],
        "validation": held[tested:],
        "test": held[:tested],
    }


def split_recordings(windows: Float32[np.ndarray, "n l c"]) -> Rows:
    """Split whole recordings, in the order of their smallest hash, until 15 % of all windows test.

    The next 15 % validate. So a recording falls into the same split whatever the order of a file.

    Raises:
        SpecError: Too few windows overlap to tell the recordings apart, or too few are there.
    """
    numbers = recordings(overlaps(windows), len(windows))
    sizes = np.bincount(numbers)
    hashed = sorted(
        (hashlib.sha256(w.tobytes()).digest(), n) for w, n in zip(windows, numbers, strict=True)
    )
    order = np.array(list(dict.fromkeys(number for _, number in hashed)))
    before = np.empty_like(sizes)
    before[order] = np.cumsum(sizes[order]) - sizes[order]
    edges = [round(share * len(windows)) for share in (HELD_OUT, 2 * HELD_OUT)]
    part = np.digitize(before, edges)[numbers]
    alone = int((sizes == 1).sum())
    if alone > ALONE * len(windows) or len(np.unique(part)) < 3:
        raise SpecError(
            f"The recordings cannot be told apart: of {len(windows):,} windows {alone:,} share no "
            f"samples with another, and the rest make {len(sizes) - alone}; use divided=windows."
        )
    names: tuple[Split, ...] = ("test", "validation", "train")
    return {name: np.flatnonzero(part == which) for which, name in enumerate(names)}
