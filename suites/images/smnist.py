"""Recognise a handwritten digit that is read pixel by pixel (sequential MNIST).

Sources: LeCun et al. 1998 for the digits; Le et al. 2015, arXiv 1504.00941, for reading them as
sequences.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Int64

from suites.images._digits import PIXELS, DigitsTask


@final
@dataclass(frozen=True, kw_only=True)
class SequentialMNIST(DigitsTask):
    """Row by row, from the top left."""

    def order(self) -> Int64[np.ndarray, " 784"]:
        """Return the raster order."""
        return np.arange(PIXELS)
