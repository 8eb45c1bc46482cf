"""Sets of pixels as whole numbers, one bit a pixel: to look at a dash costs a shift and an `and`.

Pixels are numbered row by row over the image and a frame around it, so that a move is a number to
add and nothing near the border needs a test of its own: the frame is taken.

Axes: h rows, w columns.
"""

from functools import cache
from itertools import accumulate
from typing import NamedTuple, final, no_type_check

import numpy as np
from jaxtyping import Bool

from suites._snakes import dashes
from suites._snakes.style import Style


class Taken(NamedTuple):
    """What a dash takes, the lowest bit at `Grid.corner`."""

    firm: int
    """Which no other dash and its margin may take."""
    near: int
    """In which no other dash may end."""


class Turns(NamedTuple):
    """How a path may go on, given the angle of its last dash."""

    pivot: int
    """Move to the next pivot, a margin behind the last dash."""
    moves: list[int]
    """Moves from the pivot to where the next dash may end."""
    ends: list[dashes.End]
    """The same, as rows and columns."""
    heap: list[int]
    """Sums of the weights so far."""
    bits: list[int]
    """Each end, the lowest bit at `Grid.corner`."""
    window: int
    """All ends."""


@no_type_check  # called some thousand times an image, too often for checks in tests
@final
class Grid:
    """The pixels of a style and a margin, with all that is known before anything is drawn."""

    def __init__(self, style: Style, margin: int) -> None:
        self.style, self.margin = style, margin
        self.half = style.reach(margin) + margin
        """How far around a pixel a dash that starts there takes others, half a stamp."""
        self.frame = self.half + 2
        self.width = style.size + 2 * self.frame
        self.corner = self.half * self.width + self.half
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
        down, right = dashes.moved(angle, distance)
        return down * self.width + right

    @cache  # noqa: B019 - as above
    def taken(self, angle: float) -> Taken:
        """Return what a dash takes that starts at a centre."""
        dash = dashes.dash(self.style, self.margin, angle)
        return Taken(self._bits(dash.firm), self._bits(dash.near))

    @cache  # noqa: B019 - as above
    def turns(self, angle: float) -> Turns:
        """Return how a path may go on after a dash at an angle."""
        ends = dashes.ends(self.style, self.margin, angle)
        moves = [end.down * self.width + end.right for end in ends]
        bits = [1 << (move + self.corner) for move in moves]
        return Turns(
            pivot=self.move(angle, self.style.dash + 2 * self.margin),
            moves=moves,
            ends=ends,
            heap=list(accumulate(end.weight for end in ends)),
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


@cache
def grid(style: Style, margin: int) -> Grid:
    """Return the one grid of a style and a margin."""
    return Grid(style, margin)
