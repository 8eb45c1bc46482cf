"""How a set of Pathfinder images looks: sizes, counts and distances of the published sets."""

from dataclasses import dataclass
from math import ceil
from typing import final

ANYWHERE = -180, 180


@final
@dataclass(frozen=True, kw_only=True)
class Style:
    """The settings of a set. Lengths are in pixels of the finished image."""

    size: int
    """Height and width."""
    padding: int = 1
    """Border that stays empty."""
    antialias: int = 2
    """How many times finer dashes and discs are drawn than shown."""
    disc: float
    """Radius of the discs."""
    dash: int
    """Length of a dash."""
    thickness: float
    """Of a dash."""
    margins: tuple[int, ...]
    """Half of the gap between two dashes; an image has one of these."""
    seed_distance: int
    """Between the first tips of the two long paths."""
    continuity: float
    """How straight paths are: a path turns by less than 90 degrees over this number."""
    dashes: int
    """Of each long path."""
    distractor: int
    """Dashes of a short path."""
    distractors: int
    """Short paths that are tried; where no room is left, an image has fewer."""
    openings: tuple[int, int] = ANYWHERE
    """The directions in which a short path may begin, in degrees from one to below the other."""
    contrast: int = 100
    """Brightness of a dash in percent of a disc's."""
    dotted: bool = False
    """Whether each short path begins with a disc, too, so discs do not give long paths away."""

    def reach(self, margin: int) -> int:
        """Return how far a dash and its margin come from the pixel that a dash begins at."""
        return self.dash + ceil(self.thickness) + margin


LRA = {
    32: Style(
        size=32, disc=1.5, dash=2, thickness=0.5, margins=(1,), seed_distance=7,
        continuity=1.0, dashes=14, distractor=4, distractors=5, openings=(-150, -120),
    ),
    64: Style(
        size=64, disc=2.5, dash=5, thickness=1.0, margins=(1,), seed_distance=12,
        continuity=1.8, dashes=14, distractor=4, distractors=4, contrast=80,
        openings=(-180, -84),
    ),
    128: Style(
        size=128, disc=3.0, dash=5, thickness=1.5, margins=(2, 3), seed_distance=20,
        continuity=1.8, dashes=14, distractor=4, distractors=7, contrast=90,
    ),
    256: Style(
        size=256, padding=22, disc=5.0, dash=5, thickness=2.0, margins=(3,), seed_distance=27,
        continuity=1.8, dashes=14, distractor=4, distractors=6,
    ),
}  # fmt: skip
"""By size, the hard sets of Long Range Arena as its builders' comments give them.

Two readings are ours. The count of distractors goes with 14 dashes, where the public script may
have kept the count of its easier sets. And all dashes of an image have one contrast: at 32 the
comments give 2 and 0.75, which are no brightnesses, and are taken as full contrast.

The openings are those in which the public script finds places. It looks for them by OpenCV's
dilation of what is taken, with the pixels that the dash covers wholly, moved one down and one
right. Of no pixels the largest is the least number to OpenCV, in every version from 3.4.1 of 2018
on, and where that is met the script gives the try up. So from each corner of the image one of these
pixels must lie inside, which small dashes seldom have.
"""

SEGMENTATION = {
    128: Style(
        size=128, disc=2.1, dash=5, thickness=1.5, margins=(2, 3), seed_distance=22,
        continuity=1.8, dashes=14, distractor=4, distractors=16, contrast=90, dotted=True,
    ),
    256: Style(
        size=256, disc=4.2, dash=8, thickness=2.0, margins=(4,), seed_distance=27,
        continuity=2.2, dashes=16, distractor=5, distractors=16, dotted=True,
    ),
    512: Style(
        size=512, antialias=3, disc=9.0, dash=22, thickness=6.0, margins=(7,), seed_distance=40,
        continuity=2.5, dashes=12, distractor=4, distractors=18, dotted=True,
    ),
}  # fmt: skip
"""By size, the segmentation sets of Gupta et al. 2022, arXiv 2212.00768, and their code."""
