import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.scaling import crossover, crossovers, power_law, series
from harness.results.aggregate import comparable_groups
from tests.unit.report.made_records import lost, measured, sweep

LENGTHS = (1024, 4096, 16_384, 65_536, 262_144)


def climbed(model, seconds, lengths=LENGTHS, scatter=0.0):
    """Make a series whose calls take `seconds(length)`."""
    rng = np.random.default_rng(len(model))
    records = [
        measured(n, (seconds(n) * rng.lognormal(0, scatter, 25)).tolist(), model=model)
        for n in lengths
    ]
    (group,) = comparable_groups(records)
    return series(group)[0]


@given(exponent=st.floats(-1, 3), factor=st.floats(1e-9, 1e3))
def test_the_exponent_of_an_exact_power_law_is_found_exactly(exponent, factor):
    law = power_law((n, factor * n**exponent) for n in LENGTHS)
    assert law.exponent == pytest.approx(exponent, abs=1e-9)
    assert law.interval == pytest.approx((exponent, exponent), abs=1e-6)
    assert law.lengths == LENGTHS[-3:]


def test_the_interval_of_an_exponent_holds_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(2)
    laws = [
        power_law((n, n**1.5 * noise) for n, noise in zip(LENGTHS, row, strict=True))
        for row in rng.lognormal(0, 0.1, (2000, len(LENGTHS)))
    ]
    held = sum(law.interval[0] <= 1.5 <= law.interval[1] for law in laws)
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_an_exponent_needs_two_lengths_and_its_interval_three():
    assert power_law([(4, 1.0), (8, None), (16, 0.0)]) is None
    law = power_law([(4, 1.0), (8, 2.0)])
    assert (law.exponent, law.interval) == (pytest.approx(1.0), None)


@settings(max_examples=25)
@given(at=st.floats(1100, 250_000), slower=st.floats(1.2, 2.5))
def test_two_exact_power_laws_cross_where_they_are_equal(at, slower):
    linear = climbed("linear", lambda n: 1e-6 * n)
    steep = climbed("steep", lambda n: 1e-6 * at * (n / at) ** slower)
    found = crossover(linear, steep)
    assert found.length == pytest.approx(at, rel=1e-6)
    assert found.interval == pytest.approx((at, at), rel=1e-6)
    assert found.reason == ""
    never = crossover(steep, linear)
    assert never.length is None
    assert "not ahead at 262,144" in never.reason


def test_the_interval_of_a_crossover_widens_with_the_scatter_of_calls():
    def width(scatter):
        linear = climbed("linear", lambda n: 1e-6 * n, scatter=scatter)
        steep = climbed("steep", lambda n: 1e-10 * n**2, scatter=scatter)
        low, high = crossover(linear, steep).interval
        assert low < 10_000 < high
        return math.log(high / low)

    assert 0 < width(0.02) < width(0.2)


def test_a_lead_that_is_lost_again_is_no_crossover():
    """It counts from where the lead stays."""
    seconds = {1024: 1.0, 4096: 0.5, 16_384: 2.0, 65_536: 0.5, 262_144: 0.5}
    winner = climbed("winner", seconds.__getitem__)
    other = climbed("other", lambda _: 1.0)
    assert 16_384 < crossover(winner, other).length < 65_536


def test_a_model_ahead_everywhere_is_said_to_be():
    found = crossover(climbed("quick", lambda n: n * 1e-6), climbed("slow", lambda n: n * 1e-5))
    assert found.length == pytest.approx(1024)
    assert found.reason == "ahead at every length that both ran"


def test_a_crossover_that_the_data_do_not_settle_has_an_open_end():
    a = climbed("a", lambda n: 1e-6 * n, scatter=0.3)
    b = climbed("bb", lambda n: 1e-6 * n * (1.02 if n > 1e5 else 0.5), scatter=0.3)
    first, second = crossover(a, b), crossover(b, a)
    decided = first if first.length is not None else second
    assert decided.interval[1] == math.inf


def test_only_lengths_that_both_ran_are_compared():
    long = climbed("long", lambda n: 1e-6 * n)
    short = climbed("short", lambda n: 1e-9 * n**2, lengths=LENGTHS[:2])
    assert crossover(long, short).length == pytest.approx(1024, rel=0.01)
    apart = crossover(
        climbed("low", float, lengths=LENGTHS[:1]), climbed("high", float, lengths=LENGTHS[1:])
    )
    assert (apart.length, apart.reason) == (None, "no length was measured for both")


def test_every_pair_of_a_sweep_is_settled_once():
    found = {group.title: series(group) for group in comparable_groups(sweep()) if group.sweep}
    pairs = crossovers(found["scaling/forward"])
    assert {(pair.faster, pair.slower) for pair in pairs} == {
        ("lstm", "s4d"),
        ("lstm", "transformer"),
        ("s4d", "transformer"),
    }
    # The sweep is made of power laws that meet at 8e-6 n^1.04 = 3e-9 n^1.9.
    meeting = (8e-6 / 3e-9) ** (1 / 0.86)
    (s4d,) = (pair for pair in pairs if (pair.faster, pair.slower) == ("s4d", "transformer"))
    assert s4d.length == pytest.approx(meeting, rel=0.05)


def test_a_measurement_goes_before_a_failure_at_the_same_length():
    name = "scaling/forward[length=1024]"
    early = measured(1024, [1.0], started="2026-01-01")
    refused = lost(name, "s4d", "not-run", "Too long.", started="2026-01-02")
    late = measured(1024, [2.0], started="2026-01-03")
    (group,) = comparable_groups([refused, early])
    assert series(group)[0].points[0].record == early
    (group,) = comparable_groups([late, refused, early])
    assert series(group)[0].points[0].record == late
