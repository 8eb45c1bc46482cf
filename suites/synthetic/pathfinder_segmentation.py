"""Label every pixel: on the path that joins the discs, on another long path, or on neither.

Source: task PathfinderSegmentation of Gupta et al. 2022, arXiv 2212.00768, with the settings of
their code; snakes-style images drawn here, **not** the released files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch

from harness.api import Batch, Protocol, Signal, Split, StepLabels
from suites._options import by_default
from suites._pathfinder.style import SEGMENTATION, Style
from suites._pathfinder.task import PathfinderTask, flat

GROUND = {128: 0.940, 256: 0.972, 512: 0.979}
"""By size, the measured share of pixels on neither long path."""


@final
@dataclass(frozen=True, kw_only=True)
class PathfinderSegmentation(PathfinderTask):
    """Class 2 on the path that joins the two discs, 1 on other long paths, 0 elsewhere.

    Short paths begin with a disc, too, so every disc must be followed to tell what it marks. The
    faint ring that down-sampling leaves around a dash belongs to its path, as in the paper's set.
    The score is pooled over the split; the paper averages it over batches.
    """

    size: Literal[128, 256, 512] = 128
    """Height and width: 16,384, 65,536 or 262,144 positions."""

    version: ClassVar[int] = 2
    shard_size: ClassVar[int] = 16
    published: ClassVar[Mapping[Split, int]] = {
        "train": 80_000, "validation": 10_000, "test": 10_000,
    }  # fmt: skip
    protocol: ClassVar[Protocol] = Protocol(steps=300, batch=4, width=64, depth=2)

    @property
    def inputs(self) -> Signal:
        """A grey value in [-1, 1]."""
        return Signal(1)

    @property
    def outputs(self) -> StepLabels:
        """A class for each pixel; the loss weighs each class by one over its count in the batch."""
        return StepLabels(3, metric="macro_f1", balanced=True)

    @property
    def style(self) -> Style:
        """One of the paper's."""
        return SEGMENTATION[self.size]

    @property
    def chance(self) -> float:
        """Calling all pixels ground scores F1 = 2 g / (1 + g) on its share g, and 0 on the rest."""
        ground = GROUND[self.size]
        return 2 * ground / (1 + ground) / 3

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What trees make of a pixel and of summaries of the image."""
        return by_default(self, {"boosted trees": 0.368}, "sets")

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw images; the classes come from what was drawn."""
        drawn = self.images(n, rng)
        return Batch(flat(drawn.pixels), flat(drawn.classes))

    def prepare(self, batch: Batch) -> Batch:
        """Turn bytes into real numbers and labels."""
        return Batch((batch.inputs / 127.5 - 1)[..., None], batch.targets.long())
