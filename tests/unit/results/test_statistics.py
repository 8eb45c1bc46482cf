"""What intervals and tests claim, against simulations in which the truth is known."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import nct, norm, t

from harness.results.rank_statistics import (
    average_ranks,
    critical_difference,
    friedman_p_value,
    tau_interval,
)
from harness.results.statistics import (
    FIRST_LOOK,
    MANY,
    NARROW,
    SOME,
    adjusted,
    looked_at,
    mean_interval,
    median_interval,
    p_above_zero,
    sequential_interval,
    share_interval,
    t_interval,
    values_needed,
)

TRIES = 600


def share_of(hits):
    """Say how often something held, with room for what so few tries leave open."""
    return sum(hits) / len(hits)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_of_a_mean_covers_it_as_often_as_it_says(seeds):
    rng = np.random.default_rng(seeds)

    def covers():
        low, high = mean_interval(rng.normal(0.7, 0.1, seeds).tolist())
        return low <= 0.7 <= high

    assert 0.92 <= share_of([covers() for _ in range(TRIES)]) <= 0.98


def test_the_interval_of_many_values_is_a_bootstrap_that_follows_their_skew():
    values = np.random.default_rng(0).exponential(size=MANY).tolist()

    low, high = mean_interval(values)

    assert high - np.mean(values) > 1.1 * (np.mean(values) - low)
    assert mean_interval([0.5] * MANY) == (0.5, 0.5)


def test_the_interval_of_a_median_needs_five_values_and_then_covers_it():
    rng = np.random.default_rng(1)

    def covers():
        low, high = median_interval(rng.exponential(size=SOME).tolist())
        return low <= np.log(2) <= high

    assert median_interval([0.1] * (SOME - 1)) is None
    assert share_of([covers() for _ in range(100)]) > 0.87


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_interval_of_a_share_covers_it(share):
    rng = np.random.default_rng(2)
    ends = [share_interval(int(rng.binomial(10, share)), 10) for _ in range(TRIES)]

    assert share_of([low <= share <= high for low, high in ends]) > 0.91
    assert share_interval(3, 3)[0] == pytest.approx(0.438, abs=1e-3)


@pytest.mark.parametrize(("models", "tasks"), [(3, 4), (5, 4), (8, 1), (9, 6)])
@pytest.mark.parametrize("shares", [(0.5, 0, 0.4, 0.1), (0.45, 0.45, 0, 0.1), (0, 0, 0.5, 0.5)])
def test_the_interval_of_tau_covers_that_of_all_models_though_pairs_share_models(
    models, tasks, shares
):
    """Shares of variance: a model, a model on a task, a model in a source, what is left."""
    rng = np.random.default_rng(3)
    model, on_task, in_source, rest = np.sqrt(shares)
    truth = 2 / np.pi * np.arcsin(sum(shares[:2]))

    def signs(common):
        noise = rng.normal(0, in_source, (1, models)) + rng.normal(0, rest, (tasks, models))
        found = common + noise
        return np.sign(found[:, :, None] - found[:, None])

    def covers():
        common = rng.normal(0, model, (1, models)) + rng.normal(0, on_task, (tasks, models))
        alike = (signs(common) * signs(common)).sum() / (tasks * models * (models - 1))
        low, high = tau_interval(alike, models)
        return low <= truth <= high

    assert share_of([covers() for _ in range(TRIES)]) >= 0.95


def test_the_interval_of_tau_has_a_width_where_all_agree_and_narrows_with_models():
    ends = [tau_interval(1.0, models)[0] for models in (3, 6, 12, 100)]

    assert ends == sorted(ends)
    assert -0.13 < ends[0] < -0.11
    assert ends[-1] > 0.9
    assert all(tau_interval(1.0, models)[1] == pytest.approx(1) for models in (3, 6))


def test_adjusted_p_values_find_as_little_by_chance_as_they_say():
    rng = np.random.default_rng(3)
    assert adjusted([]) == []
    assert adjusted([0.01, 0.02, 0.9]) == pytest.approx([0.03, 0.03, 0.9])
    found = [min(adjusted(rng.random(20).tolist())) < 0.05 for _ in range(TRIES)]
    assert share_of(found) < 0.08


def test_ranks_are_averages_in_which_ties_share():
    scores = np.array([[0.9, 0.5, 0.5], [0.8, 0.9, 0.1]])

    assert average_ranks(scores) == pytest.approx([1.5, 1.75, 2.75])


def test_the_critical_difference_is_the_published_one():
    """Demšar 2006, section 3.2.2: four algorithms on 14 data sets, q = 2.569."""
    assert critical_difference(14, 4) == pytest.approx(1.25, abs=0.01)


def test_equal_models_are_seldom_called_apart():
    rng = np.random.default_rng(4)

    def apart():
        ranks = average_ranks(rng.normal(size=(12, 5)))
        return np.ptp(ranks) > critical_difference(12, 5)

    assert share_of([apart() for _ in range(TRIES)]) < 0.07
    assert friedman_p_value(np.ones((4, 3))) is None
    assert friedman_p_value(np.tile([3.0, 2.0, 1.0], (8, 1))) < 0.01


def test_a_mean_above_zero_by_chance_is_as_rare_as_its_p_value_says():
    rng = np.random.default_rng(6)
    found = [p_above_zero(rng.normal(size=4).tolist()) < 0.05 for _ in range(TRIES)]

    assert 0.02 < share_of(found) < 0.08
    assert p_above_zero([1.96], half=1.96) == pytest.approx(0.025, abs=1e-4)
    assert (p_above_zero([0.1, 0.1]), p_above_zero([0.0]), p_above_zero([-1.0])) == (0, 1, 1)


def stops(values):
    """Look after each value; return what the first interval without zero says, and when."""
    for count in range(FIRST_LOOK, len(values) + 1):
        low, high = sequential_interval(values[:count])
        if low > 0 or high < 0:
            return ("above" if low > 0 else "below"), count
    return None, len(values)


@pytest.mark.parametrize("draw", ["normal", "uniform", "laplace"])
def test_who_looks_after_every_value_and_stops_at_will_is_misled_by_one_in_twenty(draw):
    rng = np.random.default_rng(5)
    parameters = (-1, 1) if draw == "uniform" else (0, 1)

    found = [stops(getattr(rng, draw)(*parameters, 30).tolist())[0] for _ in range(TRIES)]

    # 2.6, 4.9 and 1.3 % of 40,000 series.
    assert share_of([each is not None for each in found]) <= 0.06


def test_a_difference_of_more_than_twice_its_spread_is_nearly_always_found_within_ten_values():
    rng = np.random.default_rng(6)

    found = [stops(rng.normal(2.5, 1, 10).tolist()) for _ in range(TRIES)]

    assert share_of([each == "above" for each, _ in found]) > 0.9
    assert not any(each == "below" for each, _ in found)


@pytest.mark.parametrize("count", [3, 5, 20])
def test_a_sequential_interval_ends_where_effects_are_twenty_times_as_likely_as_none(count):
    found = looked_at(count, 1.0) * count**0.5

    def weighed(effect):
        return nct.pdf(found, count - 1, effect * count**0.5) * norm.pdf(effect, scale=NARROW**-0.5)

    assert quad(weighed, -20, 20)[0] / t.pdf(found, count - 1) == pytest.approx(20, rel=1e-3)


def test_a_sequential_interval_gets_narrower_and_says_when_it_will_be_narrow_enough():
    widths = [looked_at(count, 1.0) for count in range(FIRST_LOOK, 40)]

    assert widths == sorted(widths, reverse=True)
    needed = values_needed(1.0, 0.8, more_than=10, most=100)
    assert looked_at(needed, 1.0) < 0.8 <= looked_at(needed - 1, 1.0)
    assert values_needed(1.0, 0.8, more_than=needed + 5, most=100) == needed + 6
    assert values_needed(1.0, 0.01, more_than=10, most=100) is None
    assert values_needed(0.0, 0.0, more_than=3, most=100) is None


def test_equal_values_have_an_interval_without_width():
    assert t_interval([0.1] * 3) == mean_interval([0.1] * 30) == (0.1, 0.1)
