"""Recognise what a grey image shows that is read pixel by pixel (CIFAR-10, LRA's Image).

Source: Long Range Arena (Tay et al. 2020, arXiv 2011.04006) for the variant `original`; the S4
repository (Gu et al. 2022, arXiv 2111.00396) for `s4`. `images/scifar` is the same in colour.

Axes: n images, 1024 pixels, 3 colours.
"""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import UInt8

from harness.api import Batch, Signal, Tokens
from suites._cifar import PIXELS, CifarTask, Colours, normalised
from suites.lra._averages import Averages, both

MEAN, STD = 122.6 / 255, 61.0 / 255
"""Of the S4 repository."""


@final
@dataclass(frozen=True, kw_only=True)
class Image(CifarTask):
    """Row by row from the top left.

    LRA's own code masks tokens that are 0 as padding, black pixels thus; here every pixel counts.
    """

    variant: Literal["s4", "original"] = "s4"
    """Normalised real numbers and validation images that are drawn, as in S4's code; or tokens 0 to
    255 and the last tenth of the training images, as in LRA's."""

    @property
    def inputs(self) -> Signal | Tokens:
        """A grey value."""
        return Signal(1) if self.variant == "s4" else Tokens(256)

    @property
    def random_validation(self) -> bool:
        """As each code does."""
        return self.variant == "s4"

    def averages(self) -> Averages:
        """Those of the variant."""
        return both(self.variant)

    def reduced(self, images: Colours) -> UInt8[np.ndarray, "n 1024 ..."]:
        """Turn colours to grey, by another formula in each variant."""
        if self.variant == "s4":
            return grey_s4(images)[..., None]
        return grey_original(images)

    def prepare(self, batch: Batch) -> Batch:
        """Normalise real numbers, and leave tokens as they are."""
        return normalised(batch, MEAN, STD) if self.variant == "s4" else batch


def grey_original(images: Colours) -> UInt8[np.ndarray, "n 1024"]:
    """Weigh colours as TensorFlow does, in exact integers.

    That is 255.5 (0.2989 R + 0.5870 G + 0.1140 B) / 255, rounded down. TensorFlow calculates in
    float32, which gives one less or more where the exact value is all but a whole number.
    """
    return grey(images, np.array([2989, 5870, 1140]) * 511, 5_100_000, 0)


def grey_s4(images: Colours) -> UInt8[np.ndarray, "n 1024"]:
    """Weigh colours as Pillow does, and thus torchvision, to the nearest integer."""
    return grey(images, np.array([19595, 38470, 7471]), 65536, 32768)


def grey(
    images: Colours, weights: np.ndarray, whole: int, more: int
) -> UInt8[np.ndarray, "n 1024"]:
    """Return the weighted sums of the colours plus `more`, divided by `whole`, rounded down."""
    values = np.empty((len(images), PIXELS), np.uint8)
    for row, image in enumerate(images):  # one at a time: 50,000 in large integers are gigabytes
        values[row] = (image @ weights + more) // whole
    return values
