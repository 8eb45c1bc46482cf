"""Tell whether a dashed path joins two discs, in 1,024 pixels (snakes-style, no download).

Sources: Long Range Arena (Tay et al. 2020, arXiv 2011.04006), the hard set at 32 x 32 pixels;
Linsley et al. 2018, arXiv 1805.08315, for the images. Drawn here in their style, **not** the
released files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from suites._pathfinder.task import JoinedTask
from suites.lra._averages import Averages, both


@final
@dataclass(frozen=True, kw_only=True)
class Pathfinder(JoinedTask):
    """Paths of 14 dashes among up to 5 of 4, at 32 x 32."""

    size: ClassVar[int] = 32
    version: ClassVar[int] = 2
    shard_size: ClassVar[int] = 256
    shortcuts: ClassVar[Mapping[str, float]] = {
        "distance of the discs": 0.510,
        "boosted trees on the discs": 0.56,
    }

    def averages(self) -> Averages:
        """Those of the variant, with as many images as were published."""
        as_released = self.sets == "published" and self.distractors == "as-scripted"
        return both(self.variant) if as_released else {}
