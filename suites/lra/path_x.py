"""Tell whether a dashed path joins two discs, in 16,384 pixels (snakes-style, no download).

Sources: Long Range Arena (Tay et al. 2020, arXiv 2011.04006), the hard set at 128 x 128 pixels;
Linsley et al. 2018, arXiv 1805.08315, for the images. Drawn here in their style, **not** the
released files.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from suites._pathfinder.task import JoinedTask
from suites.lra._averages import Averages, over_six


@final
@dataclass(frozen=True, kw_only=True)
class PathX(JoinedTask):
    """Paths of 14 dashes among up to 7 of 4, at 128 x 128."""

    size: ClassVar[int] = 128
    version: ClassVar[int] = 2
    shard_size: ClassVar[int] = 64

    def averages(self) -> Averages:
        """Those of the variant, with as many images as were published."""
        as_released = self.sets == "published" and self.distractors == "as-scripted"
        return over_six(self.variant) if as_released else {}
