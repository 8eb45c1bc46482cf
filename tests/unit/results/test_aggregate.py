import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.core.config import Protocol
from harness.core.errors import SpecError
from harness.results.aggregate import cells, comparable_groups
from harness.results.statistics import DRAWS, resampled_medians, t_interval
from tests.unit.report.made_records import again, blank, lost, measured, scored, sweep

scores = st.floats(-10, 10)


def changed(record, **spec):
    return again(record, spec=dataclasses.replace(record.spec, **spec))


@given(st.lists(scores, min_size=2, max_size=12))
def test_the_interval_over_seeds_is_students(values):
    (cell,) = cells([scored(value, seed=seed) for seed, value in enumerate(values)])
    error = np.std(values, ddof=1) / len(values) ** 0.5
    half = stats.t.ppf(0.975, len(values) - 1) * error
    assert (cell.n, cell.interval_over) == (len(values), "seeds")
    assert cell.mean == pytest.approx(np.mean(values))
    low, high = cell.interval
    assert (low, high) == pytest.approx((cell.mean - half, cell.mean + half), abs=1e-9)


def test_the_interval_over_seeds_holds_the_truth_nineteen_times_in_twenty():
    draws = np.random.default_rng(3).normal(0.5, 0.1, (2000, 4))
    held = sum(low <= 0.5 <= high for low, high in map(t_interval, draws.tolist()))
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_one_seed_has_the_interval_of_its_own_run_and_says_so():
    (cell,) = cells([scored(0.6, half=0.05)])
    assert (cell.interval_over, cell.n) == ("examples", 1)
    assert cell.interval == pytest.approx((0.55, 0.65))


def test_lost_runs_are_counted_with_their_reasons_and_leave_the_mean_alone():
    killed = lost("synthetic/shift", "s4d", "killed", "Signal 9.", 2)
    again_killed = lost("synthetic/shift", "s4d", "killed", "Signal 9.", 3)
    skipped = lost("synthetic/shift", "s4d", "skipped", "Cannot.", 4)
    (cell,) = cells([scored(0.4), scored(0.6, seed=1), killed, again_killed, skipped])
    assert cell.mean == pytest.approx(0.5)
    assert (cell.n, cell.lost) == (2, 2)
    assert cell.missing == {"killed": 2, "skipped": 1}
    assert cell.reasons == ("Signal 9.", "Cannot.")


def test_a_cell_without_a_score_says_nothing_of_one():
    (cell,) = cells([lost("synthetic/shift", "s4d", "timed-out", "Too slow.")])
    assert (cell.mean, cell.interval, cell.interval_over, cell.learned, cell.step_s) == (
        None,
        None,
        "nothing",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("runs", "share"),
    [
        ([scored(0.9), scored(0.11, seed=1)], 0.5),
        ([scored(0.9), lost("synthetic/shift", "s4d", "diverged", "NaN.", 1)], 0.5),
        ([scored(0.9), lost("synthetic/shift", "s4d", "killed", "Signal 9.", 1)], 1.0),
        ([scored(0.2, lower=True, chance=1.0), scored(0.99, lower=True, chance=1.0, seed=1)], 0.5),
    ],
)
def test_a_seed_learned_if_its_interval_lies_beyond_chance(runs, share):
    (cell,) = cells(runs)
    assert cell.learned == share


def test_costs_are_medians_over_runs_and_the_highest_peak():
    runs = [scored(0.5, seed=n, step_s=[s, s, 9.0]) for n, s in enumerate((0.1, 0.2, 0.4))]
    (cell,) = cells(runs)
    assert (cell.step_s, cell.train_s, cell.peak_bytes, cell.parameters) == (
        0.2,
        20.0,
        400 * 2**20,
        12_345,
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"protocol": Protocol(version=2)}, "protocol version=2"),
        ({"protocol": Protocol(steps=7)}, "steps=7"),
        ({"protocol": Protocol(seconds=5)}, "seconds=5"),
        ({"protocol": Protocol(batch=8)}, "batch=8"),
        ({"protocol": Protocol(width=8)}, "width=8"),
        ({"device": "cuda"}, "device=cuda"),
    ],
)
def test_runs_under_different_conditions_are_refused_and_can_be_kept_apart(change, said):
    records = [scored(0.5), changed(scored(0.9, model="lstm"), **change)]
    with pytest.raises(SpecError, match=f"no table may mix: .*{said}"):
        cells(records)
    groups = comparable_groups(records)
    assert len(groups) == 2
    assert said in groups[1].title
    assert [cells(group.records)[0].mean for group in groups] == [0.5, 0.9]


def test_another_precision_or_device_is_said_even_where_it_stands_alone():
    """Nobody shall take what was measured in half precision for the usual."""
    mixed = changed(scored(0.5), protocol=Protocol(precision="bf16-mixed"))
    there = changed(scored(0.5), device="cuda")
    for record, said in ((mixed, "precision=bf16-mixed"), (there, "device=cuda")):
        (group,) = comparable_groups([record])
        assert group.title == f"{record.task} ({said})"
    usual = [group.title for group in comparable_groups([scored(0.5), there])]
    assert usual == ["synthetic/shift", "synthetic/shift (device=cuda)"]


def test_another_version_of_a_task_is_another_task():
    with pytest.raises(SpecError, match=r"task version=1.*task version=2"):
        cells([scored(0.5), again(scored(0.9, seed=1), task_version=2)])


def test_a_budget_of_the_frontier_is_no_condition():
    records = [scored(0.5), changed(scored(0.9), seed=1, protocol=Protocol(budget_s=5))]
    (cell,) = cells(records)
    assert cell.n == 2


def test_two_versions_of_a_model_stay_apart():
    old, new = scored(0.5), changed(scored(0.7), model="s4d@2")
    assert {(cell.model, cell.mean) for cell in cells([old, new])} == {
        ("s4d@1", 0.5),
        ("s4d@2", 0.7),
    }


def test_groups_hold_every_planned_run_once_and_sweeps_know_their_failures():
    records = sweep()
    fallen = lost("scaling/train[length=9]", "dlr", "out-of-memory", "Too large.")
    unplanned = blank("scaling/train[length=9]", "broken", outcome="failed", protocol=None)
    groups = comparable_groups([*records, fallen, unplanned])
    grouped = [record.run_id for group in groups for record in group.records]
    assert sorted(grouped) == sorted(record.run_id for record in [*records, fallen])
    assert {group.title for group in groups if group.sweep} == {"scaling/forward", "scaling/train"}
    assert not any(cell.task.startswith("scaling") for cell in cells([*records, fallen]))


def test_the_length_of_a_learning_task_is_an_option_like_any_other():
    short = scored(0.9, task="synthetic/shift[length=64]")
    long = lost("synthetic/shift[length=4096]", "s4d", "timed-out", "Too slow.")
    assert [cell.task for cell in cells([short, long, measured(64, [1.0])])] == [
        "synthetic/shift[length=4096]",
        "synthetic/shift[length=64]",
    ]


def test_resampled_medians_scatter_like_medians_of_new_samples():
    rng = np.random.default_rng(5)
    drawn = resampled_medians(rng.normal(0, 1, 101).tolist(), rng)
    fresh = np.median(rng.normal(0, 1, (DRAWS, 101)), axis=1)
    assert drawn.std() == pytest.approx(fresh.std(), rel=0.35)
