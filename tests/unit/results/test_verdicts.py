"""A measured score beside a published one: when they match, when not, and when nobody can say."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.config import Selector
from harness.results.published import Figure
from harness.results.verdicts import ENOUGH, POINT, Scored, is_of, verdict

SHARE = st.floats(0.05, 0.95)
HALF = st.floats(0.0, 0.05)
SCALE = st.floats(1.01, 10.0)


def figure(value: float | str = 90.0, **fields: Any) -> Figure:
    """Make a published figure; `fields` are its own."""
    known: dict[str, Any] = {
        "paper_model": "S4D",
        "model": Selector("s4d"),
        "task": Selector("suite/task"),
        "unit": "percent",
        "metric": "accuracy",
        "source": "one2026",
        "table": "Table 1",
        "provenance": "paper",
        "read_in": "a file",
    }
    return Figure(value=value, **{**known, **fields})


def ours(mean: float = 0.9, half: float | None = None, **fields: Any) -> Scored:
    """Make what was measured; options stand in their selector alone."""
    task = Selector(fields.pop("task", "suite/task"))
    model = Selector(fields.pop("model", "s4d"))
    known: dict[str, Any] = {
        "task_options": {"variant": "usual", **task.options},
        "model_options": {"init": "legs", "state": 64, **model.options},
        "metric": "accuracy",
        "interval": None if half is None else (mean - half, mean + half),
        "examples": 1000,
    }
    return Scored(task=task, model=model, mean=mean, **{**known, **fields})


@given(mean=SHARE, half=HALF, there=SHARE, spread=HALF)
def test_scores_match_if_and_only_if_intervals_overlap_or_a_point_is_between(
    mean: float, half: float, there: float, spread: float
) -> None:
    found = verdict(ours(mean, half), figure(there, unit="fraction", spread=spread))

    overlap = max(mean - half, there - spread) <= min(mean + half, there + spread)
    near = abs(mean - there) <= POINT
    assert (found.word == "matches") == (overlap or near)
    if overlap:
        assert found.reason.startswith("intervals overlap")
    elif near:
        assert found.reason.startswith("within 1 point")


@given(mean=SHARE, half=HALF, there=SHARE, spread=HALF, factor=SCALE)
def test_a_match_stays_one_however_much_less_is_known(
    mean: float, half: float, there: float, spread: float, factor: float
) -> None:
    one = verdict(ours(mean, half), figure(there, unit="fraction", spread=spread))
    other = verdict(ours(mean, factor * half), figure(there, unit="fraction", spread=spread))

    assert other.word == "matches" or other == one


@given(mean=SHARE, there=SHARE)
def test_of_two_scores_that_do_not_match_each_is_the_others_contrary(
    mean: float, there: float
) -> None:
    one = verdict(ours(mean), figure(there, unit="fraction")).word
    other = verdict(ours(there), figure(mean, unit="fraction")).word
    contrary = {"matches": "matches", "above": "below", "below": "above"}

    assert other == contrary[one]
    assert one == (
        "matches" if abs(mean - there) <= POINT else "above" if mean > there else "below"
    )


@given(mean=SHARE, there=SHARE)
def test_percent_and_fraction_say_the_same(mean: float, there: float) -> None:
    in_fractions = verdict(ours(mean), figure(there, unit="fraction"))
    in_percent = verdict(ours(mean), figure(100 * there))

    if abs(abs(mean - there) - POINT) > 1e-9:
        assert in_percent == in_fractions


@pytest.mark.parametrize(
    ("mean", "word", "reason"),
    [(0.5, "above", "by 0.5"), (2.0, "below", "by 1"), (1.04, "matches", "within 5 %")],
)
def test_of_errors_the_smaller_is_above(mean: float, word: str, reason: str) -> None:
    there = figure(1.0, metric="rmse", unit="beats a minute")

    found = verdict(ours(mean, metric="rmse"), there)

    assert found == (word, f"{reason}; its budget is not stated")


@pytest.mark.parametrize(
    ("here", "theirs", "reason"),
    [
        ({}, {"value": "failed"}, "it failed there"),
        ({}, {"provenance": "second-hand"}, "second-hand"),
        ({}, {"metric": "macro accuracy"}, "other metric: macro accuracy there"),
        ({}, {"model": Selector("s4d[init=lin]")}, "other variant: init=lin there"),
        ({}, {"task": Selector("suite/task[variant=old]")}, "other task: variant=old there"),
        ({"task": "suite/task[length=64]"}, {}, "other task: length is the default there"),
        ({}, {"differs": "stand-in data: drawn"}, "stand-in data: drawn"),
        (
            {"examples": 30},
            {"examples": 1000, "examples_from": "its code"},
            "budget 3 % of the paper's",
        ),
    ],
)
def test_what_cannot_be_compared_says_why(
    here: dict[str, Any], theirs: dict[str, Any], reason: str
) -> None:
    assert verdict(ours(**here), figure(**theirs)) == ("not comparable", reason)


def test_every_reason_is_named() -> None:
    there = figure(provenance="second-hand", differs="other split: random")

    assert verdict(ours(), there).reason == "second-hand; other split: random"


def test_an_option_that_is_the_same_in_other_words_is_no_obstacle() -> None:
    there = figure(
        model=Selector("s4d[init=legs]"), task=Selector("suite/task[variant=usual]")
    )  # what runs by default stands there in full

    assert verdict(ours(), there).word == "matches"


def test_options_that_a_source_leaves_open_are_told_and_no_obstacle() -> None:
    found = verdict(ours(model="s4d[state=4]"), figure())

    assert found == ("matches", "within 1 point; its budget is not stated; state=4 here")


@given(share=st.floats(0.01, 2.0))
def test_a_verdict_asks_for_nearly_the_sources_budget(share: float) -> None:
    there = figure(examples=1_000_000, examples_from="its code")
    examples = round(share * 1_000_000)

    found = verdict(ours(examples=examples), there)

    assert (found.word == "not comparable") == (examples < ENOUGH * 1_000_000)
    assert "not stated" not in found.reason


def test_a_figure_is_set_beside_its_own_model_task_and_evaluation_only() -> None:
    assert is_of(ours(), figure(model=Selector("s4d[init=lin]")))
    assert not is_of(ours(), figure(model=Selector("s4")))
    assert not is_of(ours(), figure(task=Selector("suite/other")))
    assert not is_of(ours(), figure(evaluation="8 kHz"))
    assert is_of(ours(evaluation="8 kHz"), figure(evaluation="8 kHz"))
    assert not is_of(ours(), msgspec.structs.replace(figure(), model=None))
