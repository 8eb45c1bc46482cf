"""The frontier predicts what a longer run costs, and refuses what leaves the budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.config import RunSpec, Selector
from harness.core.record import Measured, Memory, Record
from harness.costs.frontier import Frontier, extrapolated

GIB = 2**30


def measured(length, seconds, size=GIB):
    return Record(
        run_id=str(length),
        outcome="ok",
        task=Selector(f"scaling/forward[length={length}]"),
        model=Selector("m"),
        task_version=1,
        spec=RunSpec(task="scaling/forward", model="m"),
        measured=Measured(
            length=length,
            batch=1,
            tokens=length,
            call_s=[seconds] * 3,
            first_call_s=seconds,
            precision=0.0,
            flops=None,
            spent_s=4 * seconds,
        ),
        memory=Memory(peak_bytes=size, delta_bytes=size, method="VmHWM"),
    )


@given(st.floats(0, 1), st.floats(1e-9, 1e-3), st.floats(0, 1e-7))
def test_a_cost_of_constant_linear_and_quadratic_parts_is_predicted_exactly(a, b, c):
    def cost(length):
        return a + b * length + c * length**2

    points = [(length, cost(length)) for length in (1024, 4096, 16384)]

    assert extrapolated(points, 65536) == pytest.approx(cost(65536), rel=1e-4)


def test_one_point_is_carried_on_linearly():
    assert extrapolated([(1024, 0.5)], 4096) == 2.0


def test_nothing_is_predicted_before_anything_was_measured():
    frontier = Frontier(GIB)

    assert frontier.predict("ladder", 1024) == {}
    assert frontier.refusal("ladder", {}, budget_s=1) == ""


def test_a_run_beyond_the_seconds_is_refused_with_the_prediction():
    frontier = Frontier(100 * GIB)
    frontier.note("ladder", measured(1024, 1.0))
    prediction = frontier.predict("ladder", 4096)

    assert prediction["seconds"] == pytest.approx(12.0)
    assert frontier.refusal("ladder", prediction, budget_s=13) == ""
    assert "12 s of a budget of 11 s" in frontier.refusal("ladder", prediction, budget_s=11)


def test_a_run_beyond_the_memory_is_refused():
    frontier = Frontier(2 * GIB)
    frontier.note("ladder", measured(1024, 1e-3))

    assert "4 GiB" in frontier.refusal("ladder", frontier.predict("ladder", 4096), budget_s=60)


@pytest.mark.parametrize("outcome", ["out-of-memory", "timed-out", "killed", "failed", "not-run"])
def test_nothing_longer_is_started_after_a_run_without_a_figure(outcome):
    frontier = Frontier(GIB)
    lost = Record(
        run_id="x",
        outcome=outcome,
        task=Selector("scaling/forward[length=1024]"),
        model=Selector("m"),
        task_version=1,
        spec=RunSpec(task="scaling/forward", model="m"),
    )
    frontier.note("ladder", lost)

    assert outcome in frontier.refusal("ladder", {}, budget_s=60)
    assert frontier.refusal("another ladder", {}, budget_s=60) == ""
