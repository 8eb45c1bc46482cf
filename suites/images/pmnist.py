"""Recognise a handwritten digit whose pixels are read in a scrambled order (permuted MNIST).

Two permutations are in use under this name, and their scores do not compare: that of the S4
repository reverses the bits of the pixel's number, that of the recurrent networks' papers is drawn.
"""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Int64

from suites.images._digits import PIXELS, DigitsTask

SEED = 92_916
"""Of the drawn permutation, as in the code of expRNN."""


@final
@dataclass(frozen=True, kw_only=True)
class PermutedMNIST(DigitsTask):
    """All digits are read in one fixed order that tears neighbours apart."""

    permutation: Literal["bit-reversal", "random"] = "bit-reversal"
    """Of the S4 repository, or the one drawn with seed 92916."""

    def order(self) -> Int64[np.ndarray, " 784"]:
        """Return the permutation."""
        if self.permutation == "random":
            # The published one comes from numpy's legacy generator, whose draws never change.
            return np.random.RandomState(SEED).permutation(PIXELS)
        return bit_reversed(PIXELS)


def bit_reversed(count: int) -> Int64[np.ndarray, " n"]:
    """Return the numbers below `count` in the order of their reversed binary digits."""
    bits = (count - 1).bit_length()
    every = np.arange(1 << bits)
    reverse = sum(((every >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
    return np.asarray(reverse)[np.asarray(reverse) < count]
