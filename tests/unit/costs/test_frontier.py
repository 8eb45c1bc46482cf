"""The frontier predicts what a longer run costs, and refuses what leaves the budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.config import Protocol
from harness.core.record import Memory
from harness.costs.frontier import Frontier
from tests.unit.report.made_records import lost, measured, planned, ran_beside

GIB = 2**30


def at(length, ladder="ladder", budget_s=60):
    protocol = Protocol(budget_s=budget_s)
    return planned("scaling/forward", ladder=ladder, length=length, protocol=protocol)


def ran(length, seconds, size=GIB):
    weighed = Memory(peak_bytes=size, delta_bytes=size, method="VmHWM")
    return at(length), measured(length, [seconds] * 3, memory=weighed)


@given(st.floats(0, 1), st.floats(1e-9, 1e-3), st.floats(0, 1e-7))
def test_a_cost_of_constant_linear_and_quadratic_parts_is_predicted_exactly(a, b, c):
    def cost(length):
        return a + b * length + c * length**2

    frontier = Frontier(GIB)
    for length in (1024, 4096, 16384):
        frontier.note(*ran(length, cost(length)))

    assert frontier.predict(at(65536))["seconds"] == pytest.approx(3 * cost(65536), rel=1e-4)


def test_after_one_length_all_cost_is_linear():
    frontier = Frontier(GIB)
    frontier.note(*ran(1024, 0.5))

    assert frontier.predict(at(4096)) == {"seconds": 3 * 2.0, "bytes": 4 * GIB}


def test_what_nobody_weighed_has_no_prediction_of_memory():
    frontier = Frontier(GIB)
    frontier.note(at(1024), measured(1024, [0.5], memory=None))

    assert frontier.predict(at(4096)) == {"seconds": 3 * 2.0}


def test_nothing_is_predicted_before_anything_was_measured():
    frontier = Frontier(GIB)

    assert frontier.predict(at(1024)) == {}
    assert frontier.refusal(at(1024, budget_s=1), {}) == ""


def test_what_stands_on_no_ladder_is_not_predicted_from_and_not_refused():
    frontier, run = Frontier(0), at(1024, ladder="")
    frontier.note(run, measured(1024, [100.0]))
    frontier.note(run, lost("scaling/forward[length=1024]", "s4d", "killed", "Signal 9."))

    assert frontier.predict(run) == {}
    assert frontier.refusal(run, {}) == ""


def test_a_run_beyond_the_seconds_is_refused_with_the_prediction():
    frontier = Frontier(100 * GIB)
    frontier.note(*ran(1024, 1.0))
    prediction = frontier.predict(at(4096))

    assert prediction["seconds"] == pytest.approx(12.0)
    assert frontier.refusal(at(4096, budget_s=13), prediction) == ""
    assert "12 s of a budget of 11 s" in frontier.refusal(at(4096, budget_s=11), prediction)


def test_disturbed_lengths_predict_only_where_there_are_no_others_and_it_says_so():
    frontier = Frontier(100 * GIB)
    frontier.note(at(1024), measured(1024, [1.0] * 3, interference=ran_beside(0.9)))
    refused = frontier.refusal(at(4096, budget_s=11), frontier.predict(at(4096)))
    frontier.note(at(2048), measured(2048, [0.2] * 3, interference=ran_beside(0.0)))

    assert refused.endswith("of a budget of 11 s. That is from times of a busy machine.")
    assert frontier.predict(at(4096))["seconds"] == pytest.approx(1.2)


def test_a_run_beyond_the_memory_is_refused():
    frontier = Frontier(2 * GIB)
    frontier.note(*ran(1024, 1e-3))

    assert "4 GiB" in frontier.refusal(at(4096), frontier.predict(at(4096)))


@pytest.mark.parametrize("outcome", ["out-of-memory", "timed-out", "killed", "failed", "not-run"])
def test_nothing_longer_is_started_after_a_run_without_a_figure(outcome):
    frontier = Frontier(GIB)
    frontier.note(at(1024), lost("scaling/forward[length=1024]", "s4d", outcome, "Why."))

    assert outcome in frontier.refusal(at(4096), {})
    assert frontier.refusal(at(4096, ladder="another ladder"), {}) == ""
