"""Growth with width and state: what is put in a row, and what the row says."""

import pytest

from harness.core.config import Protocol
from harness.report import Report
from harness.report.sizes import size_series, size_table
from tests.unit.report.made_records import lost, measured, scored


def at_width(width, seconds, **fields):
    return measured(4096, [seconds], protocol=Protocol(width=width), **fields)


def with_state(state, seconds, **fields):
    return measured(4096, [seconds], model=f"s4d[state={state},dt_max=0.1]", **fields)


def test_runs_that_differ_in_their_width_alone_are_a_series():
    records = [at_width(width, 1e-4 * width**2) for width in (512, 32, 128)]
    others = [at_width(64, 9.0, model="mamba"), measured(1024, [9.0]), scored(0.5)]
    (found,) = size_series(records + others, "width")

    assert [point.at for point in found.points] == [32, 128, 512]
    assert (found.task, found.model) == ("scaling/forward[length=4096]", "s4d")


def test_runs_that_differ_in_their_state_alone_are_a_series():
    records = [with_state(state, 1e-3 * state) for state in (16, 64)]
    records.append(measured(4096, [9.0], model="s4d[state=32,dt_max=0.5]"))
    (found,) = size_series(records, "state")

    assert [point.at for point in found.points] == [16, 64]
    assert found.model == "s4d[dt_max=0.1]"


def test_a_row_says_how_cost_grows():
    records = [at_width(width, 1e-6 * width**2) for width in (32, 64, 128, 256)]
    table = size_table([*records, with_state(16, 1.0), with_state(256, 4.0)])
    over = {row[2].text: [cell.text for cell in row] for row in table.rows}

    assert over["width"][3:6] == ["32", "256", "1.02 ms to 65.5 ms"]
    assert over["width"][6].startswith("2.00 [2.00, 2.00]")
    assert over["state, width 64"][6] == "x 4.00 for x 16.0", "two sizes make no exponent"


@pytest.mark.parametrize(
    "records",
    [
        [],
        [scored(0.5)],
        [at_width(32, 1.0)],
        [at_width(32, 1.0), lost("scaling/train", "s4d", "killed", "")],
    ],
)
def test_one_size_is_no_growth(records):
    assert not size_table(records).rows


def test_a_report_has_a_section_for_sizes_if_there_is_something_to_say():
    several = [at_width(32, 1.0), at_width(64, 2.0)]

    assert "Width and state" in Report(several).tables()
    assert "Width and state" not in Report(several[:1]).tables()


def test_single_lengths_have_no_figure():
    drawn = Report([at_width(32, 1.0), at_width(64, 2.0)]).pictures()

    assert not drawn["Length"]
