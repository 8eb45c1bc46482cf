"""Of every task whose data are drawn, the best shortcut that a search finds is stated."""

import pytest

from harness.api import GeneratedTask, PregeneratedTask
from harness.data.cheap_views import LOOKUP
from harness.data.inspect import inspect
from harness.data.shortcuts import Finding, search
from harness.plugins.loading import load_task
from harness.plugins.registry import registry

SPOKEN = "speech/spoken"
"""Made by a synthesiser, at two clips a second; its shortcuts have a test of their own."""
DRAWN = [
    name
    for name in registry().of("task")
    if name != SPOKEN and isinstance(load_task(name), GeneratedTask | PregeneratedTask)
]
THE_QUESTION = {
    "mad/recall": {LOOKUP},
    "mad/noisy-recall": {LOOKUP},
    "languages/even-pairs": {"boosted trees"},
    "recall/by-position": {LOOKUP},
    "recall/frequent-words": {"commonest value", "linear model", "boosted trees"},
    "recall/needle": {LOOKUP},
    "retrieval/mqar": {LOOKUP},
    "retrieval/induction-heads": {LOOKUP},
    "synthetic/cummax": {"linear model", "boosted trees"},
    "synthetic/cumsum": {"mean so far", "linear model", "boosted trees"},
}
"""Predictors that are no way around: what is asked is the look-up, the maximum, the sum, the count
itself, or whether both ends are alike."""
SMALL = 0.003
"""What the mean of a long input explains of any of its values, and more; nobody would notice it."""
FEW = {
    "lra/pathfinder-64": 256,
    "lra/path-x": 64,
    "lra/path-256": 64,
    "synthetic/pathfinder-segmentation": 64,
}


def beyond(name: str, found: list[Finding]) -> list[Finding]:
    """Return the findings that beat chance and all that the task states by more than noise."""
    task = load_task(name)
    known = max(task.chance, *task.shortcuts.values(), task.chance)
    return [
        each
        for each in found
        if each.predictor not in THE_QUESTION.get(name, ())
        and each.score is not None
        and each.score > known + 3 * each.error + SMALL
    ]


@pytest.mark.parametrize("name", sorted({*DRAWN} - {*FEW}))
def test_no_simple_predictor_beats_what_a_task_states(name: str) -> None:
    found = search(load_task(name), 48, trees=False)

    assert any(each.score is not None for each in found)
    assert not beyond(name, found)


@pytest.mark.slow  # three minutes over all
@pytest.mark.parametrize("name", DRAWN)
def test_no_predictor_beats_what_a_task_states_and_all_reach_it(name: str) -> None:
    task = load_task(name)
    found = search(task, FEW.get(name, 1000))
    scores = {each.predictor: each for each in found if each.score is not None}

    assert not beyond(name, found)
    for shortcut, stated in task.shortcuts.items():
        if (each := scores.get(shortcut)) is not None:
            assert each.score == pytest.approx(stated, abs=3 * each.error + SMALL)


@pytest.mark.parametrize(
    ("name", "predictor", "score", "chance"),
    [
        ("mad/recall", "commonest value", 0.31, 0.125),
        ("mad/noisy-recall", "commonest value", 0.31, 0.125),
        ("mad/fuzzy-recall", "commonest value", 0.19, 0.125),
        ("retrieval/mqar", "first value", 0.125, 1 / 128),
        ("retrieval/selective-copying", "commonest value", 0.204, 1 / 14),
        ("synthetic/shift", "input at the place", 1 / 4.5, 0),
        ("synthetic/cummax", "usual answer at the place", 0.47, 0),
    ],
)
def test_a_search_finds_what_an_audit_found(
    name: str, predictor: str, score: float, chance: float
) -> None:
    task = load_task(name)
    [found] = [each for each in search(task, 300, trees=False) if each.predictor == predictor]

    assert task.chance == pytest.approx(chance)
    assert found.score == pytest.approx(score, abs=0.025)
    assert found.score == pytest.approx(task.shortcuts[predictor], abs=3 * found.error + SMALL)


@pytest.mark.parametrize(
    ("name", "way", "score"),
    [
        ("retrieval/infilling", "word with the fewest whole copies", 0.25),
        ("retrieval/phone-book", "last number of the book", 1 / 23.5),
    ],
)
def test_a_way_of_a_tasks_own_reaches_what_is_stated(name: str, way: str, score: float) -> None:
    seen = inspect(name, load_task(name), 1000)

    assert seen.found[way] == pytest.approx(score, abs=0.012)
    assert seen.stated[way] == pytest.approx(score, abs=0.005)


@pytest.mark.parametrize(
    "name",
    ["mad/recall[vocabulary=8]", "retrieval/selective-copying[tokens=4]", "signals/delay[lag=10]"],
)
def test_what_was_measured_at_the_defaults_is_not_stated_of_other_options(name: str) -> None:
    assert load_task(name).shortcuts == {}


def test_what_a_formula_says_follows_the_options() -> None:
    assert load_task("retrieval/mqar[pairs=4]").shortcuts == {"first value": 0.25}
    assert load_task("tracking/parity[length=4]").shortcuts == {"first value": 0.625}
    assert load_task("retrieval/infilling[reading=both]").shortcuts
