"""Who wins over several tasks, and at what cost."""

import math

import pytest

from harness.report import ranks as tables
from harness.results.aggregate import comparable_groups
from harness.results.ranks import front, headways, learned_rows, ranking
from tests.unit.report.made_records import ran_beside, scored

SCORES = {
    "synthetic/shift": {"dlr": 0.9, "s4d": 0.6, "mamba": 0.3, "chance": 0.1},
    "synthetic/sort": {"dlr": 0.2, "s4d": 0.8, "mamba": 0.5, "chance": 0.1},
    "synthetic/cumsum": {"dlr": 0.7, "s4d": 0.6, "mamba": 0.65, "chance": 0.1},
    "retrieval/mqar": {"mamba": 0.9},
}


def rows(scores=SCORES, **fields):
    records = [
        scored(score, task=task, model=model, parameters=10 * (model != "chance"), **fields)
        for task, found in scores.items()
        for model, score in found.items()
    ]
    return learned_rows(comparable_groups(records))


def test_models_rank_over_the_tasks_that_all_of_them_have():
    found = ranking(rows())

    assert found.models == ("dlr", "s4d", "mamba")
    assert found.ranks == pytest.approx((5 / 3, 2.0, 7 / 3))
    assert found.firsts == (2, 1, 0)
    assert found.tasks == ("synthetic/cumsum", "synthetic/shift", "synthetic/sort")
    assert found.critical > 1
    assert 0 < found.p_value < 1


def test_less_is_better_where_the_metric_says_so():
    found = ranking(rows(lower=True, chance=1.0))

    assert found.models == ("mamba", "s4d", "dlr")


def test_a_model_that_lacks_most_tasks_is_left_out_and_named():
    scores = {task: {**found} for task, found in SCORES.items()}
    scores["synthetic/sort"]["lstm"] = 0.99

    found = ranking(rows(scores))

    assert "lstm" not in found.models
    assert found.absent == {"lstm": 1}


@pytest.mark.parametrize(
    "scores", [{}, {"synthetic/shift": SCORES["synthetic/shift"]}, {"a/b": {"s4d": 0.1}}]
)
def test_nothing_is_ranked_without_two_models_on_two_tasks(scores):
    made = rows(scores)

    assert ranking(made) is None
    assert tables.rank_table(made).rows == ()


def test_the_way_from_chance_to_the_best_is_between_0_and_1():
    made = rows()

    ways = headways(made, ranking(made))

    assert ways["dlr"] == pytest.approx([1.0, 1.0, 1 / 7])
    assert ways["mamba"] == pytest.approx([0.55 / 0.6, 0.2 / 0.8, 0.4 / 0.7])


def test_no_other_model_matches_one_on_the_front_at_less_cost():
    cells = learned_rows(
        comparable_groups(
            [
                scored(0.5, model="s4d", parameters=100),
                scored(0.4, model="dlr", parameters=200),
                scored(0.9, model="mamba", parameters=300),
                scored(0.9, model="hgrn2", parameters=400),
                scored(0.1, model="chance", parameters=0),
            ]
        )
    )["synthetic/shift"]

    best = front(cells, lambda cell: cell.parameters)

    assert [cell.model for cell in best] == ["s4d", "mamba"]


def test_disturbed_times_are_on_no_front():
    made = rows(interference=ran_beside(20.0))

    told = {row[1].text for row in tables.front_table(made).rows}

    assert told == {"peak memory", "parameters"}
    assert all(math.isfinite(rank) for rank in ranking(made).ranks)
