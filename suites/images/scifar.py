"""Recognise what a colour image shows that is read pixel by pixel (sequential CIFAR-10).

Sources: Krizhevsky 2009 for the images; read in colour as in the S4 repository (Gu et al. 2022,
arXiv 2111.00396). Not to be confused with `lra/image`, which is grey.

Axes: n images, 1024 pixels, 3 colours.
"""

from dataclasses import dataclass
from typing import final

from harness.api import Batch, Signal
from suites._cifar import CifarTask, Colours, normalised

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.247, 0.243, 0.261)
"""Of the S4 repository's data set. Its example script divides by (0.2023, 0.1994, 0.2010)."""


@final
@dataclass(frozen=True, kw_only=True)
class SequentialCifar(CifarTask):
    """Row by row from the top left, red, green and blue at once, normalised by colour."""

    @property
    def inputs(self) -> Signal:
        """Red, green and blue."""
        return Signal(3)

    @property
    def random_validation(self) -> bool:
        """As the S4 repository does, with its seed."""
        return True

    def reduced(self, images: Colours) -> Colours:
        """Keep all colours."""
        return images

    def prepare(self, batch: Batch) -> Batch:
        """Normalise each colour."""
        return normalised(batch, MEAN, STD)
