"""Averages over a suite: of whole sets of tasks, of one kind each, with honest intervals."""

import dataclasses
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from harness.core.config import Selector
from harness.report import Report, units
from harness.report.averages import average_table
from harness.report.published_averages import published_average_table
from harness.results.aggregate import comparable_groups
from harness.results.published import Figure
from tests.unit.report.made_records import PROTOCOL, again, lost, scored

THREE = {"suite/a": None, "suite/b": None, "suite/c": None}
FOUR = {**THREE, "suite/hard": 0.5}
BOTH = {"suite-3 (x)": THREE, "suite-4 (x)": FOUR}
LAST = {"suite-4 (x)": FOUR}


def averages(records):
    """Return the table's cells by (average, model)."""
    table = average_table(comparable_groups(records))
    models = table.columns[1:-1]
    return {
        (row[0].text, model): cell.text
        for row in table.rows
        for model, cell in zip(models, row[1:-1], strict=True)
    }


def three(model="s4d", scores=(0.5, 0.6, 0.7), seed=0, **fields):
    """Make the records of the first three tasks."""
    return [
        scored(score, task=task, model=model, seed=seed, averages=BOTH, **fields)
        for task, score in zip(THREE, scores, strict=True)
    ]


def test_an_average_is_that_of_all_its_tasks_and_another_says_what_it_lacks() -> None:
    found = averages(three())

    assert found["suite-3 (x)", "s4d"].startswith("0.600 ± ")
    assert found["suite-4 (x)", "s4d"] == "3 of 4: lacks suite/hard"


def test_the_larger_average_has_all_its_tasks_too() -> None:
    records = [*three(), scored(0.8, task="suite/hard", averages=LAST)]
    found = averages(records)

    assert found["suite-3 (x)", "s4d"].startswith("0.600 ± ")
    assert found["suite-4 (x)", "s4d"].startswith("0.650 ± ")


def test_variants_do_not_fill_each_others_gaps() -> None:
    other = {"suite-3 (y)": THREE}
    records = [
        *three()[:2],
        scored(0.7, task="suite/c[kind=y]", averages=other),
        scored(0.6, task="suite/b[kind=y]", averages=other),
    ]

    assert averages(records) == {
        ("suite-3 (x)", "s4d"): "2 of 3: lacks suite/c",
        ("suite-3 (y)", "s4d"): "2 of 3: lacks suite/a",
        ("suite-4 (x)", "s4d"): "2 of 4: lacks suite/c, suite/hard",
    }


def test_the_order_in_which_tasks_name_each_other_does_not_matter() -> None:
    turned = {"suite-3 (x)": dict(reversed(THREE.items()))}
    records = [*three()[:2], scored(0.7, task="suite/c", averages=turned)]

    assert averages(records)["suite-3 (x)", "s4d"].startswith("0.600 ± ")


def test_runs_with_other_options_count_nowhere() -> None:
    records = [*three()[:2], scored(0.7, task="suite/c[length=8]", averages={})]

    assert averages(records)["suite-3 (x)", "s4d"] == "2 of 3: lacks suite/c"


def test_a_task_that_was_tried_in_vain_says_what_became_of_it() -> None:
    records = [*three()[:2], lost("suite/c", "s4d", "out-of-memory", "Too big.", averages=BOTH)]

    assert averages(records)["suite-3 (x)", "s4d"] == "2 of 3: lacks suite/c (out-of-memory)"


def test_a_model_that_never_ran_any_of_the_tasks_is_not_in_the_table() -> None:
    table = average_table(comparable_groups([*three(), scored(0.9, model="lru")]))

    assert table.columns == ("Average", "s4d", "Over")


def test_a_model_with_one_task_alone_has_no_average_to_speak_of() -> None:
    assert not average_table(comparable_groups(three()[:1])).rows
    assert ("suite-3 (x)", "lru") not in averages([*three(), *three("lru")[:1]])


def test_records_from_before_averages_were_recorded_make_none() -> None:
    assert not average_table(comparable_groups([scored(0.9), scored(0.8, task="suite/a")])).rows


def test_older_records_count_where_a_newer_one_of_the_same_task_says_so() -> None:
    old = again(three()[0], averages={}, started="2025-01-01T00:00:00Z")
    newer = three(model="lru", scores=(0.1, 0.2, 0.3))

    assert averages([old, *three()[1:], *newer])["suite-3 (x)", "s4d"].startswith("0.600 ± ")


@pytest.mark.parametrize("outcome", ["killed", "skipped", "out-of-memory", "timed-out", "failed"])
def test_only_divergence_counts_as_the_least_where_the_task_gives_one(outcome) -> None:
    hard = {"task": "suite/hard", "model": "s4d", "reason": "It was so.", "averages": LAST}
    diverged = [*three(), lost(outcome="diverged", **hard)]
    other = [*three(), lost(outcome=outcome, **hard)]

    counted = averages(diverged)["suite-4 (x)", "s4d"]
    assert counted.startswith("0.575 ± ")  # (0.6 x 3 + 0.5) / 4
    assert counted.endswith(" (n=1, 1 diverged)")
    assert averages(other)["suite-4 (x)", "s4d"] == f"3 of 4: lacks suite/hard ({outcome})"


def test_a_diverged_run_of_another_task_leaves_the_average_open() -> None:
    records = [*three()[:2], lost("suite/c", "s4d", "diverged", "The loss is NaN.", averages=BOTH)]

    assert averages(records)["suite-3 (x)", "s4d"] == "2 of 3: lacks suite/c (diverged)"


def test_a_score_below_the_least_counts_as_the_least() -> None:
    low, exact = (
        averages([*three(), scored(score, half=0, task="suite/hard", averages=LAST)])
        for score in (0.49, 0.5)
    )

    assert low["suite-4 (x)", "s4d"] == exact["suite-4 (x)", "s4d"]


def test_a_cell_counts_seeds_and_losses_and_has_no_interval_where_seeds_are_one_and_many() -> None:
    records = [
        *three(),
        *three(seed=1)[:2],
        lost("suite/c", "s4d", "killed", "Signal 9.", 1, averages=BOTH),
    ]

    assert averages(records)["suite-3 (x)", "s4d"] == "0.600 (n=1 to 2, 1 lost)"


def test_the_interval_of_single_seeds_adds_those_over_examples_in_quadrature() -> None:
    assert averages(three(half=0.03))["suite-3 (x)", "s4d"] == "0.600 ± 0.017 (n=1)"


def test_seeds_that_agree_leave_no_width() -> None:
    records = [*three(), *three(seed=1)]

    assert averages(records)["suite-3 (x)", "s4d"] == "0.600 ± 0.000 (n=2)"


SEEDS = st.lists(
    st.integers(0, 1000).map(lambda points: points / 1000), min_size=2, max_size=5, unique=True
)


@given(SEEDS, SEEDS)
def test_the_interval_over_seeds_is_that_of_welch(a, b) -> None:
    two = {"pair": {"suite/a": None, "suite/b": None}}
    records = [
        scored(score, task=task, seed=seed, averages=two)
        for task, scores in (("suite/a", a), ("suite/b", b))
        for seed, score in enumerate(scores)
    ]
    low, high = ttest_ind(a, b, equal_var=False).confidence_interval()
    middle, half = mean([mean(a), mean(b)]), (high - low) / 4

    text = averages(records)["pair", "s4d"]

    assert text.startswith(units.plus_minus(middle, (middle - half, middle + half)) + " (n=")


def test_models_under_other_conditions_stand_in_another_row() -> None:
    long = dataclasses.replace(PROTOCOL, steps=7)
    records = [*three(), *three("lru", (0.2, 0.3, 0.4)), *three("dlr", protocol=long)]
    table = average_table(comparable_groups(records))
    rows = [[text.text for text in row] for row in table.rows if row[0].text == "suite-3 (x)"]

    assert table.columns == ("Average", "dlr", "lru", "s4d", "Over")
    assert [[text != units.DASH for text in row[1:-1]] for row in rows] == [
        [False, True, True],
        [True, False, False],
    ]
    assert rows[0][-1].startswith(f"suite/a (steps={PROTOCOL.steps}); suite/b (steps=")
    assert rows[1][-1] == "suite/a (steps=7); suite/b (steps=7); suite/c (steps=7)"


def test_two_conditions_of_one_model_are_not_chosen_between() -> None:
    other = scored(
        0.9, task="suite/c", averages=BOTH, protocol=dataclasses.replace(PROTOCOL, steps=7)
    )

    text = averages([*three(), other])["suite-3 (x)", "s4d"]

    assert text == "ran suite/c under 2 conditions, of which one must be chosen"


def test_two_versions_of_a_model_are_not_mixed() -> None:
    changed = [
        again(record, spec=dataclasses.replace(record.spec, model="s4d@2"))
        for record in three()[2:]
    ]

    assert averages([*three()[:2], *changed]) == {
        ("suite-3 (x)", "s4d@1"): "2 of 3: lacks suite/c",
        ("suite-4 (x)", "s4d@1"): "2 of 4: lacks suite/c, suite/hard",
    }


def test_the_report_shows_averages_beside_the_scores() -> None:
    titles = [table.title for table in Report(three()).tables()["Scores"]]

    assert titles == ["Test scores", "Averages over tasks"]


def published(averaging, **fields):
    """Make a published average of the suite."""
    given = {"paper_model": "S4D", "model": Selector("s4d"), "paper_task": "suite average"}
    held = {"source": "a2020", "table": "Table 1", "provenance": "paper", "read_in": "it"}
    rest = {"value": 61.0, "unit": "percent", "metric": "accuracy", "averaging": averaging}
    return Figure(**{**given, **held, **rest, **fields})


def test_an_average_stands_beside_those_of_papers_by_its_own_convention_only() -> None:
    records = [*three(), scored(0.8, task="suite/hard", averages=LAST)]
    figures = [
        published("over 3"),
        published("over 4", value=62.0),
        published("over 4, failed as 50", value=63.0),
        published("over 4, failed as 0", value=64.0),
        published("over 3", paper_task="other average"),
        published("over 3", model=Selector("s5"), paper_model="S5"),
    ]
    table = published_average_table(comparable_groups(records), figures)

    assert [tuple(cell.text for cell in row[:1] + row[3:5]) for row in table.rows] == [
        ("suite-3 (x)", "0.610", "over 3"),
        ("suite-4 (x)", "0.620", "over 4"),
        ("suite-4 (x)", "0.630", "over 4, failed as 50"),
    ]
    assert published_average_table(comparable_groups(three()[:2]), figures).rows == ()
