"""Tests of what all figures share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plugins.registry import registry
from harness.report import units
from harness.report.canvas import (
    LETTERS,
    fitted,
    legend_below,
    log_ticks,
    looks,
    named_rows,
    panels,
)


def test_a_title_that_fits_stays_as_it_is() -> None:
    assert fitted("synthetic/shift[length=512,shift=64]") == "synthetic/shift[length=512,shift=64]"


def test_a_long_title_is_broken_before_its_options() -> None:
    title = "synthetic/pathfinder-segmentation[size=512,sets=published]"
    assert fitted(f"transformer[heads=2] on {title}").splitlines() == [
        "transformer[heads=2] on ",
        *fitted(title).splitlines(),
    ]
    assert fitted(title).splitlines() == [
        "synthetic/pathfinder-segmentation",
        "[size=512, sets=published]",
    ]


@given(st.text("ab/[],=-", min_size=1, max_size=200))
def test_no_line_of_a_title_is_longer_than_its_panel_and_no_letter_is_lost(title: str) -> None:
    lines = fitted(title).splitlines()
    assert max(map(len, lines)) <= LETTERS
    assert "".join(lines).replace(" ", "") == title


def test_models_that_are_shipped_look_different_and_the_same_in_every_report() -> None:
    names = sorted(registry().of("model"))
    every = looks(names)
    assert len(names) > 20
    assert len({(look.colour, look.marker) for look in every.values()}) == len(names)
    for name in names:
        alone = looks([name, "another[state=3]"])[name]
        assert (alone.colour, alone.marker) == (every[name].colour, every[name].marker)


def test_lines_of_one_colour_have_dashes_of_their_own() -> None:
    found = looks(["dlr", "s4d", "transformer[heads=1]"])
    assert len({(look.colour, look.dash) for look in found.values()}) == 3
    assert len({look.colour for look in found.values()}) < 3, "or it says nothing"


def test_thirty_models_look_different_in_whatever_order_they_come() -> None:
    names = [f"s4d[state={n}]" for n in range(30)]
    found = looks([*names, *names])
    assert len({(look.colour, look.marker) for look in found.values()}) == 30
    assert looks(reversed(names)) == found
    assert len(looks(map(str, range(500)))) == 500


@pytest.mark.parametrize("ratio", [1.3, 4.0, 12.0, 1e3, 1e6])
def test_a_log_axis_has_more_than_one_label(ratio: float) -> None:
    with panels(1) as (figure, (axis,)):
        axis.plot([1, 2], [3e-3, 3e-3 * ratio])
        axis.set_yscale("log")
        log_ticks(axis.yaxis, units.seconds)
        figure.canvas.draw()
        low, high = axis.get_ylim()
        shown = [tick for tick in axis.get_yticks() if low <= tick <= high]
    assert 2 <= len(shown) <= 9


@pytest.mark.parametrize("count", [1, 3])
def test_a_legend_of_long_names_is_no_wider_than_its_figure(count: int) -> None:
    names = [f"mamba[select_b=false,select_c=false,select_dt=false,state={n}]" for n in range(9)]
    with panels(count) as (figure, axes):
        for name in names:
            axes[0].plot([1, 2], [1, 2], label=name)
        legend_below(figure, axes)
        figure.canvas.draw()

        assert figure.legends[0].get_window_extent().width <= figure.bbox.width
        assert [text.get_text() for text in figure.legends[0].get_texts()] == names


def test_rows_with_long_names_leave_room_for_what_they_show_and_for_the_title() -> None:
    long = "mamba[select_b=false,select_c=false,select_dt=false]"
    with panels(3) as (figure, axes):
        for axis in axes:
            axis.set(title="signals/reconstruction\n[frequency=50, length=400]", xlabel="r2")
            named_rows(axis, ["s4d", long])
        figure.canvas.draw()

        assert axes[-1].bbox.width > figure.bbox.width / len(axes) / 2
        assert axes[-1].title.get_window_extent().x1 <= figure.bbox.x1
        written = axes[-1].get_yticklabels()[1].get_text()
    assert written.replace("\n", "").replace(" ", "") == long
    assert len(written.splitlines()) > 1
