"""What makes a comparison fail: directions, limits, noise, and nothing to judge."""

import re

import msgspec
import numpy as np
import pytest

from harness.core.errors import SpecError
from harness.results.compare import compare
from harness.results.gate import gate, parse_allowances
from tests.unit.report.made_records import MACHINE, lost, measured, scored
from tests.unit.results.test_compare import SCORES, WITHIN, runs

TASKS = [f"synthetic/{name}" for name in ("shift", "sort", "cumsum", "cummax", "reverse", "mips")]


def test_a_gate_without_a_common_run_fails():
    for a, b in (([], []), ([scored(0.5)], [scored(0.5, seed=1)])):
        verdict = gate(compare(a, b), WITHIN)
        assert (verdict.code, verdict.failed) == (2, ())
        assert "No run of A and B is common" in verdict.unjudged


@pytest.mark.parametrize("lower", [False, True])
def test_the_gate_knows_which_direction_is_worse(lower):
    few, many = runs(SCORES["a"], lower=lower), runs(SCORES["b"], lower=lower)
    worse = gate(compare(few, many) if lower else compare(many, few), WITHIN).failed
    better = gate(compare(many, few) if lower else compare(few, many), WITHIN).failed
    assert len(worse) == 1
    assert ("mse" if lower else "accuracy") in worse[0]
    assert better == ()


def test_the_gate_lets_pass_what_is_within_tolerance_or_within_noise():
    a, b = runs(SCORES["b"]), runs(SCORES["a"])
    assert gate(compare(a, b), parse_allowances("score:-20%")).failed == ()
    noisy = runs([0.99, 0.60, 0.99, 0.60])
    assert compare(a, noisy).changes[0].score.difference < -0.05 * 0.9
    assert gate(compare(a, noisy), WITHIN).failed == ()


def test_more_time_and_more_memory_are_worse_and_less_are_not():
    quick, slow = measured(64, [1.0, 1.01, 0.99] * 5), measured(64, [1.5, 1.52, 1.49] * 5)
    heavy = msgspec.structs.replace(
        slow, memory=msgspec.structs.replace(slow.memory, peak_bytes=2 * slow.memory.peak_bytes)
    )
    time_only = gate(compare([quick], [slow]), WITHIN).failed
    assert len(time_only) == 1
    assert "time grew to 1.50 times" in time_only[0]
    assert len(gate(compare([quick], [heavy]), WITHIN).failed) == 2
    assert gate(compare([heavy], [quick]), WITHIN).failed == ()


def test_a_difference_in_time_within_the_scatter_of_calls_passes():
    rng = np.random.default_rng(0)
    a, b = (measured(64, (mean * rng.lognormal(0, 0.5, 9)).tolist()) for mean in (1.0, 1.1))
    ratio = compare([a], [b]).changes[0].seconds
    assert ratio.interval[0] < 1 < ratio.interval[1]
    assert gate(compare([a], [b]), parse_allowances("time:+0%")).failed == ()


def test_a_run_that_is_lost_in_b_breaks_the_gate():
    a, b = runs(SCORES["a"]), runs(SCORES["a"])
    b[3] = lost("synthetic/shift", "s4d", "out-of-memory", "It needed 9 GiB.", 3)
    comparison = compare(a, b)
    assert comparison.changes[0].seeds == (0, 1, 2)
    (sentence,) = gate(comparison, WITHIN).failed
    assert "s4d is out-of-memory in B: It needed 9 GiB." in sentence


def test_a_gate_that_had_nothing_to_compare_is_no_pass_and_names_the_places():
    there = measured(64, [9.0] * 5, machine={**MACHINE, "processor": "Another"})
    verdict = gate(compare([measured(64, [1.0] * 5)], [there]), WITHIN)
    assert verdict.code == 2
    assert "B on Another" in verdict.unjudged


@pytest.mark.parametrize(
    ("limits", "code"),
    [("score:-1", 1), ("score:-2", 0), ("score:-1%", 1), ("score:-3%", 0), ("time:+10%", 0)],
)
def test_a_score_may_fall_by_points_or_by_a_share(limits, code):
    a, b = runs([0.8, 0.8, 0.8]), runs([0.781, 0.782, 0.783])

    assert gate(compare(a, b), parse_allowances(limits)).code == code


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("speed:+5%", "No quantity is called 'speed'"),
        ("score:+1", "score gets worse with -"),
        ("time:-5%", "time gets worse with +"),
        ("time:+5", "has no unit; write time:"),
        ("score", "is no limit; write one like"),
        ("", "No limit is given"),
    ],
)
def test_a_limit_that_cannot_be_read_is_a_sentence(text, why):
    with pytest.raises(SpecError, match=re.escape(why)):
        parse_allowances(text)


def test_the_gate_seldom_fails_two_equal_sides_of_many_rows():
    rng = np.random.default_rng(5)

    def side():
        return [
            scored(float(rng.normal(0.7, 0.05)), task=task, seed=seed)
            for task in TASKS
            for seed in range(3)
        ]

    limits = parse_allowances("score:-0%")
    failed = [gate(compare(side(), side()), limits).code for _ in range(200)]

    assert sum(failed) / len(failed) < 0.05


def test_the_gate_finds_one_row_of_many_that_is_worse():
    rng = np.random.default_rng(6)
    spread = {"before": [], "after": []}
    for which, found in spread.items():
        for task in TASKS:
            worse = 0.2 * (which == "after" and task == TASKS[0])
            found += [
                scored(0.7 - worse + float(rng.normal(0, 0.005)), task=task, seed=seed)
                for seed in range(3)
            ]

    verdict = gate(compare(spread["before"], spread["after"]), WITHIN)

    [sentence] = verdict.failed
    assert sentence.startswith(f"s4d on {TASKS[0]}: accuracy went from 0.7")
