"""One trained network on several sets: a row each, a reason where there is no figure."""

import msgspec

from harness.report import Report
from harness.report.evaluations import evaluation_table
from harness.results.aggregate import comparable_groups
from tests.unit.report.made_records import again, scored


def with_further(model, seed, scores, unscored=None):
    record = scored(0.9, model=model, seed=seed)
    found = {"test": {"accuracy": 0.9}, **{name: {"accuracy": s} for name, s in scores.items()}}
    learned = msgspec.structs.replace(record.learned, scores=found, unscored=unscored or {})
    return again(record, learned=learned)


def rows(table):
    return [[text.text for text in row] for row in table.rows]


def test_a_further_evaluation_has_a_row_and_a_reason_where_no_figure_is():
    records = [
        with_further("s4d", 0, {"longer": 0.5, "8khz": 0.75}),
        with_further("s4d", 1, {"longer": 0.7, "8khz": 0.75}),
        with_further("lstm", 0, {"longer": 0.25}, {"8khz": "It has no step size."}),
        scored(0.4, model="dlr"),
    ]

    table = evaluation_table(comparable_groups(records))

    assert table.columns == ("Task", "Evaluation", "Metric", "lstm", "s4d")
    assert rows(table) == [
        ["synthetic/shift", "longer", "accuracy", "0.250 (n=1)", "0.600 ± 1.271 (n=2)"],
        ["synthetic/shift", "8khz", "accuracy", "It has no step size.", "0.750 ± 0.000 (n=2)"],
    ]
    assert Report(records).tables()["Scores"][1].rows == table.rows


def test_tasks_without_further_evaluations_make_no_table():
    assert evaluation_table(comparable_groups([scored()])).rows == ()
    assert [table.title for table in Report([scored()]).tables()["Scores"]] == ["Test scores"]


def test_the_effective_length_is_the_longest_up_to_which_a_score_holds():
    def further(model, *scores):
        return with_further(
            model, 0, dict(zip(("length-64", "length-256", "length-1024"), scores, strict=True))
        )

    records = [
        further("s4d", 0.9, 0.88, 0.85),
        further("lstm", 0.9, 0.3, 0.9),
        further("dlr", 0.2, 0.2, 0.2),
    ]

    [*_, last] = rows(evaluation_table(comparable_groups(records)))

    assert last == [
        "synthetic/shift",
        "effective length",
        "positions",
        "as trained",
        "64",
        "1,024 or more",
    ]


def test_one_longer_set_makes_no_effective_length():
    table = evaluation_table(comparable_groups([with_further("s4d", 0, {"length-64": 0.9})]))

    assert [row[1] for row in rows(table)] == ["length-64"]


def test_scores_over_longer_examples_are_drawn_from_the_trained_length_on():
    records = [
        msgspec.structs.replace(
            with_further(model, seed, {"length-64": level, "length-256": level / 2, "coarse": 0.1}),
            task_options={"length": 16},
        )
        for model, level in (("s4d", 0.8), ("lstm", 0.6))
        for seed in range(2)
    ]
    picture = next(p for p in Report(records).pictures()["Scores"] if p.name == "reach")

    lines = {name: (x, y) for _, name, x, y in picture.series}
    assert lines["s4d"] == ([16, 64, 256], [0.9, 0.8, 0.4])
    assert lines["lstm"] == ([16, 64, 256], [0.9, 0.6, 0.3])
    assert lines["trained"][0] == [16, 16]


def test_sets_that_are_not_longer_have_no_line():
    records = [with_further("s4d", 0, {"coarse": 0.8, "length-64": 0.7})]

    assert "reach" not in {p.name for p in Report(records).pictures()["Scores"]}
