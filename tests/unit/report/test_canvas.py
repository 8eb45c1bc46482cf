"""Tests of what all figures share."""

from hypothesis import given
from hypothesis import strategies as st

from harness.report.canvas import LETTERS, fitted


def test_a_title_that_fits_stays_as_it_is() -> None:
    assert fitted("synthetic/shift[length=512,shift=64]") == "synthetic/shift[length=512,shift=64]"


def test_a_long_title_is_broken_before_its_options() -> None:
    title = "synthetic/pathfinder-segmentation[size=512,sets=published]"
    assert fitted(title).splitlines() == [
        "synthetic/pathfinder-segmentation",
        "[size=512, sets=published]",
    ]


@given(st.text("ab/[],=-", min_size=1, max_size=200))
def test_no_line_of_a_title_is_longer_than_its_panel_and_no_letter_is_lost(title: str) -> None:
    lines = fitted(title).splitlines()
    assert max(map(len, lines)) <= LETTERS
    assert "".join(lines).replace(" ", "") == title
