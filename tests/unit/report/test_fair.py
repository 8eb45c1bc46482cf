"""Tables say what was held equal, what was chosen, and at how many rates a model failed."""

from dataclasses import replace

import pytest

from harness.core.config import Protocol
from harness.core.record import Swept, Trial
from harness.report import Report, tables
from harness.report.held import held_equal
from harness.results.aggregate import comparable_groups
from tests.unit.report.made_records import lost, measured, scored, sweep

SWEPT = Protocol(sweep="lr_scale=0.3,1.0,3.0", match="parameters=12000")


def swept(*scores, chosen=1.0, window=(0.3, 1.0)):
    trials = [
        Trial(
            values={"lr_scale": rate},
            run_id=str(rate),
            outcome="diverged" if score is None else "ok",
            validation=score,
            learned=bool(score),
            seconds=40.0,
        )
        for rate, score in zip((0.3, 1.0, 3.0), scores, strict=True)
    ]
    windows = {"lr_scale": window} if window else {}
    return Swept(chosen={"lr_scale": chosen}, trials=trials, windows=windows)


@pytest.mark.parametrize(
    ("protocols", "said"),
    [
        (
            [Protocol()],
            (
                "Held equal within a row: width (64), depth (2), steps (1,000), batch (32); "
                "not parameters."
            ),
        ),
        (
            [Protocol(match="parameters=200000", width=23, steps=0, seconds=600)],
            (
                "Held equal within a row: parameters (200,000, for which each width is chosen), "
                "depth (2), seconds of training (600), batch (32)."
            ),
        ),
        (
            [Protocol(seconds=60), Protocol(steps=50, seconds=20, depth=4, sweep="lr=0.1,0.2")],
            (
                "Held equal within a row: width (64), depth (2 to 4), steps (50 to 1,000; "
                "20 to 60 s may end them), batch (32); not parameters. "
                "Chosen for each model on validation: lr."
            ),
        ),
    ],
)
def test_what_is_held_equal_is_a_sentence(protocols, said):
    assert held_equal(scored(0.5, protocol=protocol) for protocol in protocols) == said


def test_of_what_was_only_measured_no_steps_are_told_and_of_nothing_nothing():
    assert "steps" not in held_equal([measured(64, [1.0])])
    assert held_equal([]) == ""


def test_every_table_of_scores_costs_and_lengths_says_what_was_held_equal():
    report = Report([scored(0.5), measured(64, [1.0])])
    made = report.tables()

    for table in (made["Scores"][0], made["Training"][0], made["Length"][0]):
        assert "Held equal within a row: width (64)" in table.note, table.title


def test_parameters_and_the_training_stand_beside_the_score_with_how_far_they_are_off():
    matched = Protocol(match="parameters=12000")
    near = scored(0.9, protocol=replace(matched, width=10), parameters=12_100)
    far = scored(0.8, model="gru", protocol=replace(matched, width=20), parameters=12_600)
    table = tables.cost_table(comparable_groups([near, far], timed=True))

    assert table.columns[:5] == ("Task", "Model", "Score", "Parameters", "Training")
    found = [[text.text for text in row[1:5]] for row in table.rows]
    assert found == [
        ["gru", "0.800 ± 0.020 (n=1)", "12,600 (5.0% above)", "20.0 s"],
        ["s4d", "0.900 ± 0.020 (n=1)", "12,100", "20.0 s"],
    ]


def test_nothing_is_said_not_to_learn_without_the_rates_that_were_tried():
    once = scored(0.1, model="gru")
    several = scored(0.1, protocol=SWEPT, swept=swept(0.1, 0.1, None, window=None))
    groups = comparable_groups([once, several])
    learned = {row[1].text: row[-1].text for row in tables.cost_table(groups).rows}

    assert learned == {
        "gru": "0% [0%, 79%] at one rate",
        "s4d": "0% [0%, 79%] of 3 rates",
    }
    note = tables.score_table(groups).note
    assert "tried at one learning rate only: gru on synthetic/shift" in note
    assert "s4d on" not in note


def test_rates_are_shown_with_the_window_and_its_cost():
    wide = scored(0.9, protocol=SWEPT, swept=swept(0.5, 0.8, None))
    narrow = scored(0.9, model="gru", protocol=SWEPT, swept=swept(None, 0.8, None, window=(1, 1)))
    nowhere = swept(0.0, 0.0, 0.0, chosen=3.0, window=None)
    never = scored(0.1, model="lstm", protocol=SWEPT, swept=nowhere)
    (table,) = Report([wide, narrow, never]).tables()["Training"][1:]

    assert [[text.text for text in row[1:]] for row in table.rows] == [
        [
            "gru",
            "lr_scale=1.0",
            "lr_scale 1 only",
            "3, 2.00 min",
            "0.3: diverged; 1.0: 0.800; 3.0: diverged",
        ],
        [
            "lstm",
            "lr_scale=3.0, an end",
            "nowhere",
            "3, 2.00 min",
            "0.3: 0.000; 1.0: 0.000; 3.0: 0.000",
        ],
        [
            "s4d",
            "lr_scale=1.0",
            "lr_scale 0.3 to 1.0 (x 3.33)",
            "3, 2.00 min",
            "0.3: 0.500; 1.0: 0.800; 3.0: diverged",
        ],
    ]


def test_a_run_without_any_trial_that_scored_is_listed_with_its_rates():
    reason = "No trial has a score: lr_scale=0.3 diverged; lr_scale=1.0 diverged."
    nothing = lost("synthetic/shift", "s4d", "diverged", reason, protocol=SWEPT)
    (row,) = tables.missing_table([nothing]).rows

    assert row[-1].text == reason


def test_tasks_under_a_match_and_without_stand_apart_and_say_so():
    records = [scored(0.5), scored(0.5, protocol=Protocol(match="parameters=12000", width=9))]

    titles = [group.title for group in comparable_groups(records)]

    assert titles == [
        "synthetic/shift (width=64, no match)",
        "synthetic/shift (match parameters=12000)",
    ]


def test_every_table_that_sets_models_against_each_other_says_what_was_held_equal():
    made = Report([*sweep(), scored(0.5), scored(0.6, model="s5")]).tables()
    for section in ("Scores", "Standings", "Length"):
        for table in made[section]:
            assert table.note.count("Held equal within a row: width (64)") == 1, table.title
    assert {table.title for table in made["Standings"]} >= {"Average ranks", "Score against cost"}
    assert {"Growth with length", "Crossovers"} <= {table.title for table in made["Length"]}
