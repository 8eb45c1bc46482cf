"""Sets of pixels as whole numbers, one bit a pixel: to look at a dash costs a shift and an `and`.

Pixels are numbered row by row over the image and a frame around it, so that a move is a number to
add and nothing near the border needs a test of its own: the frame is taken. Angles are in radians
from right (0) to down (pi / 2).

Axes: h rows, w columns.
"""

from functools import cache
from itertools import accumulate
from math import atan2, cos, floor, pi, sin
from typing import NamedTuple, final, no_type_check

import numpy as np
from jaxtyping import Bool

from suites._snakes.brush import FULL, Stroke, stroke
from suites._snakes.style import Style

FIRM, HALF = 0.9 * FULL, 0.5 * FULL
"""Two masks this firm come to 1.8, the published bound; no dash ends a margin from half a mask."""


class Dash(NamedTuple):
    """A dash as it is painted and as the pixels it takes, the lowest bit at `Grid.corner`."""

    stroke: Stroke
    firm: int
    """Which no other dash and its margin may take."""
    near: int
    """In which no other dash may end."""


class Turns(NamedTuple):
    """How a path may go on, given the angle of its last dash."""

    pivot: int
    """Move to the next pivot, a margin behind the last dash."""
    ends: list[int]
    """Moves from the pivot to where the next dash may end."""
    angles: list[float]
    """Of the dash that ends there."""
    dashes: list[Dash]
    """That dash, drawn from its end."""
    weights: list[int]
    """In proportion to probabilities; whole, so that sums are the same on every machine."""
    heap: list[int]
    """Sums of the weights so far."""
    bits: list[int]
    """Each end, the lowest bit at `Grid.corner`."""
    window: int
    """All ends."""


@no_type_check  # called some fifty thousand times an image, too often for checks in tests
@final
class Grid:
    """The pixels of a style and a margin, with all that is known before anything is drawn."""

    def __init__(self, style: Style, margin: int) -> None:
        self.style, self.margin = style, margin
        half = style.reach(margin) + margin
        self.frame = half + 2
        self.width = style.size + 2 * self.frame
        self.corner = half * self.width + half
        """How far before a centre the lowest bit of a set around it lies."""
        border = self.frame + style.padding
        self.firm, self.near = self._outside(border), self._outside(border + margin)
        """What is taken before anything is drawn: the frame and the padding."""

    def pixel(self, row: int, column: int) -> int:
        """Return the number of a row and a column of the image."""
        return (row + self.frame) * self.width + column + self.frame

    def place(self, pixel: int) -> tuple[int, int]:
        """Return a pixel's row and column in the image."""
        row, column = divmod(pixel, self.width)
        return row - self.frame, column - self.frame

    @cache  # noqa: B019 - grids are few and live as long as the process
    def move(self, angle: float, distance: int) -> int:
        """Return a move, rounded to the nearest pixel."""
        down, right = moved(angle, distance)
        return down * self.width + right

    @cache  # noqa: B019 - as above
    def dash(self, angle: float) -> Dash:
        """Return a dash that starts at a centre."""
        style, margin = self.style, self.margin
        drawn = stroke(style.dash, style.thickness, margin, style.antialias, angle)
        mask = np.pad(drawn.mask, margin)
        half, near = self._bits(mask >= HALF), 0
        for row in range(-margin, margin + 1):
            for column in range(-margin, margin + 1):
                if row**2 + column**2 <= margin**2:
                    offset = row * self.width + column
                    near |= half << offset if offset > 0 else half >> -offset
        return Dash(drawn, self._bits(mask >= FIRM), near)

    @cache  # noqa: B019 - as above
    def turns(self, angle: float) -> Turns:
        """Return the ends on a circle around the next pivot that a path may turn to.

        They lie about a pixel apart. A turn by t weighs cos(min(continuity |t|, pi / 2)) squared.
        """
        step = self.style.dash + self.margin
        around = np.arange(0, 2 * pi, 1 / step).tolist()
        options = []
        for down, right in sorted({moved(direction, step) for direction in around}):
            turn = abs(atan2(down, right) - angle)
            bent = self.style.continuity * min(turn, 2 * pi - turn)
            if weight := round(cos(min(bent, pi / 2)) ** 2 * 2**20):
                options.append((down, right, weight))
        ends = [down * self.width + right for down, right, _ in options]
        bits = [1 << (end + self.corner) for end in ends]
        weights = [weight for _, _, weight in options]
        return Turns(
            pivot=self.move(angle, step + self.margin),
            ends=ends,
            angles=[atan2(down, right) for down, right, _ in options],
            dashes=[self.dash(atan2(-down, -right)) for down, right, _ in options],
            weights=weights,
            heap=list(accumulate(weights)),
            bits=bits,
            window=sum(bits),
        )

    def _outside(self, border: int) -> int:
        taken = np.ones((self.width, self.width), bool)
        taken[border:-border, border:-border] = False
        return self._bits(taken)

    def _bits(self, taken: Bool[np.ndarray, "h w"]) -> int:
        rows = np.pad(taken, ((0, 0), (0, self.width - taken.shape[1])))
        return int.from_bytes(np.packbits(rows, bitorder="little").tobytes(), "little")


def moved(angle: float, distance: int) -> tuple[int, int]:
    """Return a move as rows down and columns right, rounded to the nearest pixel.

    The little that is added decides halves alike on every machine.
    """
    return floor(distance * sin(angle) + 0.5 + 1e-9), floor(distance * cos(angle) + 0.5 + 1e-9)


@cache
def grid(style: Style, margin: int) -> Grid:
    """Return the one grid of a style and a margin."""
    return Grid(style, margin)
