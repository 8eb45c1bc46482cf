"""Two models are compared on the same examples, and equal ones are seldom told apart."""

import msgspec
import numpy as np
import pytest

from harness.core.per_example import kept
from harness.results.by_example import by_example
from harness.results.compare import compare
from harness.results.statistics import (
    adjusted,
    mcnemar_p_value,
    paired_p_value,
    sign_flip_p_value,
)
from tests.unit.report.made_records import scored

EXAMPLES = 200


def run(errors, model="s4d", seed=0, examples="abc", **fields):
    made = scored(1 - float(np.mean(errors)), model=model, seed=seed, **fields)
    learned = msgspec.structs.replace(made.learned, per_example=kept(list(errors), examples))
    return msgspec.structs.replace(made, learned=learned)


def wrong(rng, shares):
    return (rng.random(len(shares)) < shares).astype(float)


def equal_models(rng, kind):
    """Draw differences of two models that err alike, on examples of all difficulties."""
    if kind == "right or wrong":
        shares = rng.beta(0.5, 0.5, EXAMPLES)
        return wrong(rng, shares) - wrong(rng, shares)
    if kind == "seeds averaged":
        shares = rng.beta(0.5, 0.5, EXAMPLES)
        return sum(wrong(rng, shares) - wrong(rng, shares) for _ in range(3)) / 3
    return rng.lognormal(0, 2, EXAMPLES) - rng.lognormal(0, 2, EXAMPLES)


@pytest.mark.parametrize("kind", ["right or wrong", "seeds averaged", "squared errors"])
def test_equal_models_are_told_apart_as_seldom_as_is_said(kind):
    rng = np.random.default_rng(3)
    test = mcnemar_p_value if kind == "right or wrong" else paired_p_value

    found = np.mean([test(equal_models(rng, kind)) < 0.05 for _ in range(400)])

    assert 0.01 < found < 0.08  # 400 draws of one in twenty: 0.05 ± 0.02


def test_of_many_pairs_of_equal_models_one_report_in_twenty_finds_any():
    rng = np.random.default_rng(4)

    found = [
        min(adjusted([mcnemar_p_value(equal_models(rng, "right or wrong")) for _ in range(30)]))
        for _ in range(200)
    ]

    assert np.mean(np.array(found) < 0.05) < 0.09


def test_many_flips_and_few_say_the_same():
    differences = np.random.default_rng(5).normal(0.6, 1, 12)

    assert paired_p_value(differences) == pytest.approx(sign_flip_p_value(differences), abs=0.02)
    assert paired_p_value(np.zeros(30)) == mcnemar_p_value(np.zeros(30)) == 1.0


def test_what_two_scores_leave_open_the_examples_tell():
    rng = np.random.default_rng(6)
    worse = wrong(rng, np.full(EXAMPLES, 0.3))
    better = worse * (np.arange(EXAMPLES) % 5 > 0)

    (change,) = compare([run(worse, half=0.06)], [run(better, "s5", half=0.06)]).changes

    low, high = change.score.interval
    assert low < 0 < high
    assert change.by_example.examples == EXAMPLES
    assert change.by_example.interval[1] < 0
    assert change.by_example.adjusted_p_value < 0.01


def test_errors_are_averaged_over_the_seeds_that_both_have():
    flip, none = [1.0, 0.0] * 20, [0.0] * 40
    a = [run(flip, seed=0), run(flip, seed=1), run(none, seed=2)]
    b = [run(none, "s5", seed=0), run(flip, "s5", seed=1)]

    found = by_example(a, b)

    assert (found.seeds, found.examples) == (2, 40)
    assert found.difference == pytest.approx(-0.25)


@pytest.mark.parametrize(
    "other",
    [
        run([0.0] * 40, "s5", examples="others"),
        run([0.0] * 40, "s5", seed=1),
        run([0.0] * 10, "s5"),
        scored(0.5, model="s5"),
    ],
    ids=["other examples", "another seed", "few examples", "an older record"],
)
def test_runs_that_share_no_examples_are_not_compared(other):
    assert by_example([run([1.0] * 40)], [other]) is None
