"""Timing stops when the median is known, or the budget is spent, and keeps raw samples."""

import random
import time
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.clock import median_precision, sample


def test_the_first_call_is_kept_apart():
    calls = count()

    def slow_at_first():
        time.sleep(0.05 if next(calls) == 0 else 0.001)

    (samples,) = sample(slow_at_first, settle_s=0.1, budget_s=0.1)

    assert samples.first_s >= 0.05
    assert max(samples.seconds) < 0.05


def test_a_call_beyond_the_budget_is_still_timed_once():
    (samples,) = sample(lambda: time.sleep(0.02), settle_s=0.0, budget_s=0.0)

    assert len(samples.seconds) == 1
    assert samples.precision is None


def test_timing_stops_at_the_most_calls():
    (samples,) = sample(lambda: None, settle_s=10, budget_s=10, precision=-1, most=7)

    assert len(samples.seconds) == 7


def test_the_device_is_waited_for_inside_the_timed_span():
    (samples,) = sample(lambda: None, settle_s=0, budget_s=0, synchronize=lambda: time.sleep(0.01))

    assert samples.seconds[0] >= 0.01


def test_several_calls_are_timed_in_turns():
    seen = []
    one, two = (lambda name=name: seen.append(name) for name in "ab")

    samples = sample(one, two, settle_s=5, budget_s=5, precision=-1, most=4)

    assert seen == list("ab" * 5)
    assert [len(each.seconds) for each in samples] == [4, 4]


def test_three_timed_calls_are_enough_once_the_time_to_settle_is_over():
    (samples,) = sample(lambda: time.sleep(0.01), settle_s=0, budget_s=10, precision=-1)

    assert len(samples.seconds) == 3


@given(st.lists(st.floats(0.5, 2), min_size=3, max_size=60))
def test_the_precision_is_at_most_the_half_range_over_the_median(seconds):
    reached = median_precision(seconds)

    assert 0 <= reached <= (max(seconds) - min(seconds)) / 2 / min(seconds)


def test_equal_samples_are_perfectly_precise_and_two_are_too_few():
    assert median_precision([1.0] * 5) == 0
    assert median_precision([1.0, 1.0]) is None


def test_the_medians_interval_covers_it_as_often_as_it_says():
    draw = random.Random(0)
    hits = 0
    for _ in range(400):
        values = sorted(draw.gauss(10, 1) for _ in range(25))
        half = median_precision(values) * values[12]
        hits += abs(values[12] - 10) <= 2 * half

    assert hits / 400 > 0.9


@pytest.mark.parametrize("n", [3, 4, 10, 101])
def test_precision_is_finite_for_any_count(n):
    assert median_precision([1 + i / n for i in range(n)]) < 1
