import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.crossing import crossover, crossovers
from harness.report.scaling import power_law, series
from harness.report.tables import exponent, growth_table, scaling_table
from harness.results.aggregate import comparable_groups
from harness.results.store import Store
from tests.unit.report.made_records import lost, measured, ran_beside, sweep

RECORDS = Path(__file__).parents[3] / "results" / "records" / "v1"
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
    assert law.lengths == LENGTHS[-4:]


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
@given(at=st.floats(9000, 30_000), slower=st.floats(1.4, 2.5))
def test_two_exact_power_laws_cross_where_they_are_equal(at, slower):
    linear = climbed("linear", lambda n: 1e-6 * n)
    steep = climbed("steep", lambda n: 1e-6 * at * (n / at) ** slower)
    found = crossover(linear, steep)
    assert found.length == pytest.approx(at, rel=1e-6)
    low, high = found.interval
    assert at / 2 < low < at < high < 2 * at, "two processes may differ, whatever their calls say"
    assert found.reason == ""
    never = crossover(steep, linear)
    assert never.length is None
    assert "not ahead beyond noise up to 262,144" in never.reason


def test_the_interval_of_a_crossover_widens_with_the_scatter_of_calls():
    def width(scatter):
        linear = climbed("linear", lambda n: 1e-6 * n, scatter=scatter)
        steep = climbed("steep", lambda n: 1e-10 * n**2, scatter=scatter)
        low, high = crossover(linear, steep).interval
        assert low < 10_000 < high
        return math.log(high / low)

    assert 0 < width(0.02) < width(0.2)


@pytest.mark.parametrize("bump", LENGTHS)
def test_one_bump_at_one_length_is_no_crossover(bump):
    """A call of a longer sequence that is quicker shows what noise there is."""
    uneven = climbed("uneven", lambda n: 2.0 if n == bump else 0.9)
    other = climbed("other", lambda _: 1.0)
    assert crossover(uneven, other).length is None
    assert crossover(other, uneven).length is None


def test_published_decoding_has_no_crossover_of_two_models_that_do_the_same_at_every_length():
    records = Store(RECORDS).records()
    found = {group.title: series(group) for group in comparable_groups(records) if group.sweep}
    decoding = crossovers(found["scaling/decode"])
    (pair,) = (pair for pair in decoding if {pair.faster, pair.slower} == {"s4d", "dlr"})
    assert pair.length is None


def test_what_differs_by_less_than_processes_do_is_not_apart():
    a, b = climbed("a", lambda n: 1e-6 * n), climbed("b", lambda n: 1.2e-6 * n)
    assert crossover(a, b).length is crossover(b, a).length is None


def test_several_processes_say_themselves_how_much_they_differ():
    def ran(model, seconds):
        return [
            measured(n, [n * seconds * off] * 5, model=model, seed=seed)
            for n in LENGTHS
            for seed, off in enumerate((0.99, 1.0, 1.01))
        ]

    def lead(slower):
        groups = comparable_groups([*ran("a", 1e-6), *ran("b", slower)])
        return crossover(*series(groups[0]))

    assert lead(1.1e-6).length == 1024
    assert lead(1.005e-6).length is None


def test_an_exponent_whose_interval_says_nothing_is_a_ratio():
    smooth = power_law((n, n**1.5) for n in LENGTHS)
    rough = power_law(zip(LENGTHS, (1.0, 9.0, 2.0, 30.0, 60.0), strict=True))
    two = power_law([(1024, 1.0), (4096, 3.0)])
    assert exponent(smooth) == "1.50 [1.50, 1.50]"
    assert (exponent(rough), exponent(two)) == ("x 2.00 for x 4.00", "x 3.00 for x 4.00")


def test_disturbed_lengths_enter_no_crossover_and_no_exponent():
    busy, calm = ran_beside(0.5), ran_beside(0.0)
    slow = [measured(n, [3e-6 * n] * 9, model="slow", interference=calm) for n in LENGTHS]
    quick = [measured(n, [1e-6 * n] * 9, model="quick", interference=calm) for n in LENGTHS[:2]]
    quick += [measured(n, [9e-6 * n] * 9, model="quick", interference=busy) for n in LENGTHS[2:]]
    (group,) = comparable_groups([*slow, *quick])
    found = series(group)
    (pair,) = crossovers(found)
    assert (pair.length, "2 undisturbed lengths" in pair.reason) == (None, True)
    (row,) = (row for row in growth_table(found).rows if row[1].text == "quick")
    assert row[2].text == "x 4.00 for x 4.00"
    shown = [row[2].text for row in scaling_table("t", found).rows if row[1].text == "quick"]
    assert [text.startswith("~") for text in shown] == [False, False, True, True, True]


def test_a_model_ahead_everywhere_is_said_to_be():
    found = crossover(climbed("quick", lambda n: n * 1e-6), climbed("slow", lambda n: n * 1e-5))
    assert (found.length, found.interval) == (1024, None)
    assert found.reason == "ahead at every length that both ran"


def test_a_lead_at_the_last_length_alone_must_be_more_than_a_bump():
    a = climbed("a", lambda n: 1e-6 * n)
    for lead, told in ((2.3, False), (2.6, True)):
        b = climbed("b", lambda n, lead=lead: 1e-6 * n * (lead if n > 1e5 else 0.5))
        assert (crossover(a, b).length is not None) == told


def test_only_lengths_that_both_ran_are_compared():
    long = climbed("long", lambda n: 1e-6 * n)
    short = climbed("short", lambda n: 1e-9 * n**2, lengths=LENGTHS[:3])
    assert crossover(long, short).reason == "not settled at shorter ones"
    apart = crossover(
        climbed("low", float, lengths=LENGTHS[:1]), climbed("high", float, lengths=LENGTHS[1:])
    )
    assert (apart.length, apart.reason[:21]) == (None, "0 undisturbed lengths")


def test_every_pair_of_a_sweep_is_settled_once():
    found = {group.title: series(group) for group in comparable_groups(sweep()) if group.sweep}
    pairs = crossovers(found["scaling/forward"])
    assert {(pair.faster, pair.slower) for pair in pairs} == {
        ("s4d", "lstm"),
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
