"""Where a path may go on."""

from math import atan2, cos, pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites._pathfinder.geometry import Grid, candidates, displacement
from suites._pathfinder.style import LRA
from tests.unit.suites.pathfinder.styles import STYLES


@given(st.integers(-180, 179), st.sampled_from(sorted(STYLES)))
def test_candidates_lie_on_a_circle_and_weigh_what_their_turn_says(degrees: int, name: str) -> None:
    style, course = STYLES[name], float(np.radians(degrees))
    found, radius = candidates(style, style.margins[0], course), style.dash + style.margins[0]

    for end in found:
        assert abs(np.hypot(end.down, end.right) - radius) <= 0.5**0.5
        turn = abs((atan2(end.down, end.right) - course + pi) % (2 * pi) - pi)
        assert end.weight / 2**20 == pytest.approx(cos(style.continuity * turn) ** 2, abs=1e-6)
        assert style.continuity * turn < pi / 2
    assert len(found) >= radius * pi / style.continuity / 2


def test_a_displacement_of_half_a_pixel_is_rounded_alike_everywhere() -> None:
    for angle in (pi / 3 - 1e-12, pi / 3, pi / 3 + 1e-12):
        assert displacement(angle, 11) == (10, 6)


@given(st.integers(-5, 36), st.integers(-5, 36), st.floats(-pi, pi), st.integers(0, 2))
def test_a_pixel_is_moved_by_adding_a_number(row: int, column: int, angle: float, far: int) -> None:
    grid = Grid(LRA[32], 1)
    down, right = displacement(angle, far)
    moved = grid.pixel(row, column) + grid.move(angle, far)
    assert grid.place(moved) == (row + down, column + right)
