"""How far sources rank alike: pairs of models that both tell apart, and contradictions."""

import math
from itertools import combinations

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from harness.core.config import Selector
from harness.results.agreement import agreements
from harness.results.published import Figure, published_figures
from harness.results.verdicts import Scored

TASK = "retrieval/mqar"
NAMES = "abcdefghijkl"


def figure(source, named, points, task=TASK, **fields):
    given = {"unit": "percent", "metric": "accuracy", "provenance": "paper", **fields}
    return Figure(
        paper_model=named,
        task=Selector(task),
        source=source,
        table="Table 1",
        read_in="a file",
        value=points,
        **given,
    )


def table(source, points, task=TASK, **fields):
    """Return what a source has on one task: a figure for each model."""
    return [
        figure(source, name, value, task, **fields)
        for name, value in zip(NAMES, points, strict=False)
    ]


def scored(model, mean, interval=None, task=TASK, **options):
    return Scored(
        task=Selector(task),
        task_options={},
        model=Selector(model),
        model_options={**Selector(model).options, **options},
        metric="accuracy",
        mean=mean,
        interval=interval,
        examples=100,
    )


def of_two(first, second, **fields):
    [found] = agreements([*table("one", first, **fields), *table("two", second, **fields)], {})
    return found


# Steps of two points are told apart, and equal ones are ties.
points = st.integers(0, 49).map(lambda step: 2 * step)
rankings = st.integers(4, 9).flatmap(
    lambda n: st.tuples(*[st.lists(points, min_size=n, max_size=n)] * 2)
)
distinct = st.lists(points, min_size=4, max_size=9, unique=True)


@given(distinct)
def test_a_ranking_agrees_with_itself_and_contradicts_its_reverse(values):
    same, reverse = of_two(values, values), of_two(values, [100 - value for value in values])

    assert same.tau == 1
    assert same.contradictions == []
    assert reverse.tau == -1
    assert len(reverse.contradictions) == len(reverse.pairs) == math.comb(len(values), 2)


@given(rankings)
def test_on_one_task_tau_is_scipys(both):
    first, second = both
    found = of_two(first, second)
    expected = scipy.stats.kendalltau(first, second).statistic

    assert found.tau == (None if math.isnan(expected) else pytest.approx(expected))


@given(rankings)
def test_neither_source_comes_first(both):
    first, second = both
    one, other = of_two(first, second), of_two(second, first)

    assert one.tau == other.tau
    assert one.interval == other.interval
    assert len(one.contradictions) == len(other.contradictions)


@given(st.lists(rankings, min_size=1, max_size=4))
def test_over_several_tasks_pairs_are_counted_together(by_task):
    figures, signs = [], []
    for number, (first, second) in enumerate(by_task):
        task = f"invented/task-{number}"
        figures += [*table("one", first, task), *table("two", second, task)]
        signs += [
            (np.sign(first[i] - first[j]), np.sign(second[i] - second[j]))
            for i, j in combinations(range(len(first)), 2)
        ]
    [found] = agreements(figures, {})
    one, two = np.array(signs).T

    assert len(found.pairs) == len(signs)
    assert found.alike - len(found.contradictions) == one @ two
    norm = math.sqrt((one @ one) * (two @ two))
    assert found.tau == (pytest.approx(one @ two / norm) if norm else None)


@pytest.mark.parametrize(
    ("points", "told"),
    [((50, 51), False), ((50, 51.1), True), ((0.50, 0.51), False), ((0.5, 0.511), True)],
)
def test_scores_a_point_apart_are_a_tie(points, told):
    unit = {"unit": "percent" if points[0] > 1 else "fraction"}
    low, high = points
    found = of_two([low, high, 2 * low, 3 * low], [high, low, 2 * low, 3 * low], **unit)

    assert len(found.contradictions) == told


def test_of_errors_less_is_better_and_a_twentieth_a_tie():
    unit = {"unit": "beats", "metric": "rmse"}
    first = [*table("one", [1.0, 2.0, 2.09, 4.0], **unit)]
    second = [*table("two", [2.0, 1.0, 8.0, 4.0], **unit)]
    [found] = agreements([*first, *second], {})

    assert [(pair.models, pair.leads[0] > 0) for pair in found.contradictions] == [
        (("a", "b"), True),
        (("c", "d"), True),
    ]


def test_scores_whose_intervals_meet_are_a_tie():
    spread = {"spread": 3.0, "spread_kind": "standard error", "runs": 3}
    assert of_two([50, 60, 80, 99], [60, 50, 80, 99]).contradictions
    assert not of_two([50, 60, 80, 99], [60, 50, 80, 99], **spread).contradictions


def test_a_number_that_one_source_has_from_another_is_no_witness():
    own, quoted = [50, 60, 70, 80], [50.04, 60, 70, 71]
    copied = table("two", quoted, provenance="second-hand")

    assert agreements([*table("one", own), *copied], {}) == []

    others = [40, 30, 20, 10]
    [found] = agreements([*table("one", own), *table("two", others, provenance="second-hand")], {})
    assert found.tau == -1


def test_a_sources_own_run_without_a_variant_stands_for_a_model():
    ablation = figure("one", "a", 1, variant="ablation")
    quoted = figure("one", "a", 2, provenance="second-hand")
    rest = [*table("one", [60, 50, 40, 30]), *table("two", [60, 50, 40, 30])]

    [found] = agreements([ablation, quoted, *rest], {})

    assert found.tau == 1


def test_a_model_that_a_source_has_twice_is_left_out():
    [found] = agreements(
        [figure("one", "a", 1), *table("one", [9, 50, 40, 30, 20]), *table("two", range(0, 50, 9))],
        {},
    )

    assert found.models == ["b", "c", "d", "e"]


def test_too_few_pairs_are_no_comparison():
    assert agreements([*table("one", [1, 50, 99]), *table("two", [1, 50, 99])], {}) == []


def test_models_are_those_that_a_paper_states_with_the_fewest_options_beside():
    models = ("gru", "lstm", "s4d[init=lin]", "mamba")
    paper = [
        figure("one", name.upper(), 20 * place, model=Selector(name))
        for place, name in enumerate(models)
    ]
    plain = [scored("gru", 0.2), scored("lstm", 0.3), scored("mamba", 0.4)]
    of_s4d = [
        scored("s4d[state=8]", 0.9, init="lin"),
        scored("s4d", 0.1, init="lin"),
        scored("s4d[init=legs]", 0.8),
    ]
    [found] = agreements(paper, {"here": [*plain, *of_s4d, scored("dlr", 0.5)]})

    assert found.first == "here"
    assert {str(mark.model): mark.score for pair in found.pairs for mark in pair.first} == {
        "gru": 0.2,
        "lstm": 0.3,
        "mamba": 0.4,
        "s4d": 0.1,
    }
    assert found.models == sorted(models)


@given(rankings)
def test_the_interval_holds_tau_and_stays_within_its_bounds(both):
    found = of_two(*both)
    if found.interval:
        low, high = found.interval
        assert -1 <= low <= found.tau <= high <= 1
        assert low < high


def test_papers_contradict_each_other_on_mad():
    figures = [each for each in published_figures() if each.task and each.task.name[:4] == "mad/"]
    found = {(each.first, each.second): each for each in agreements(figures, {})}

    pair = found["jbara2025linattn", "vonoswald2025mesanet"]
    assert set(pair.models) == {"deltanet", "gated-deltanet", "gla", "mesanet", "transformer"}
    assert 0 < len(pair.contradictions) < pair.alike
