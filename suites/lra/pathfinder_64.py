"""Tell whether a dashed path joins two discs, in 4,096 pixels (snakes-style, no download).

Sources: Long Range Arena (Tay et al. 2020, arXiv 2011.04006), the hard set at 64 x 64 pixels;
Linsley et al. 2018, arXiv 1805.08315, for the images. Drawn here in their style, **not** the
released files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from suites._pathfinder.task import JoinedTask


@final
@dataclass(frozen=True, kw_only=True)
class Pathfinder64(JoinedTask):
    """Paths of 14 dashes among up to 4 of 4, at 64 x 64."""

    size: ClassVar[int] = 64
    version: ClassVar[int] = 2
    shard_size: ClassVar[int] = 64
    shortcuts: ClassVar[Mapping[str, float]] = {"distance of the discs": 0.518}
