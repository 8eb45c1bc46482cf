import dataclasses

import pytest

from harness.core.config import Protocol
from harness.report import Report
from harness.report.headlines import headlines, named
from harness.report.protocol import protocol
from tests.unit.report.made_records import lost, measured, scored, sweep

SPREAD = (-0.01, 0.0, 0.01)


def said(records):
    return "\n".join(Report(records).headlines)


def seeded(task, **levels):
    """Make three seeds of each model, around its score."""
    return [
        scored(level + off, task=task, model=model, seed=seed)
        for model, level in levels.items()
        for seed, off in enumerate(SPREAD)
    ]


def test_who_is_ahead_is_said_first_with_the_tasks_and_how_sure_it_is():
    records = [
        *seeded("a/one", dlr=0.9, s4d=0.5),
        *seeded("a/two", dlr=0.8, s4d=0.3),
        *seeded("a/tie", dlr=0.8, s4d=0.8),
    ]
    first, second, *_ = Report(records).headlines
    assert first == (
        "dlr is ahead on 2 of 3 tasks, its interval apart from all others: a/one and a/two."
    )
    assert second == "Tied, as intervals meet: dlr and s4d on a/tie."


def test_with_one_seed_nothing_is_settled():
    records = [scored(0.9, model="dlr"), scored(0.1, model="s4d")]
    assert said(records) == "Nothing is settled: a model there has fewer than 3 seeds."


def test_a_lower_score_is_better_where_the_task_says_so():
    records = [
        scored(level + off, model=model, seed=seed, lower=True, chance=1.0)
        for model, level in {"dlr": 0.2, "s4d": 0.6}.items()
        for seed, off in enumerate(SPREAD)
    ]
    assert said(records).startswith("dlr is ahead on 1 of 1 task,")


def test_ranks_over_all_tasks_are_said_with_whom_they_do_not_tell_apart():
    records = [*seeded("a/one", dlr=0.9, s4d=0.5), *seeded("a/two", dlr=0.8, s4d=0.3)]
    assert "Over the 2 tasks that 2 models share, dlr ranks best (1.00 on average)" in said(records)
    assert "not apart from s4d at 95 %" in said(records)


def test_a_task_that_nobody_answers_is_named():
    found = said(seeded("a/one", dlr=0.05, s4d=0.04))
    assert "No model is a point above chance and the shortcuts on a/one." in found


def test_nobody_is_ahead_by_thousandths_above_chance():
    def runs(level):
        return [
            scored(score, task="a/one", model=model, seed=seed, chance=0.1)
            for model, base in {"dlr": level, "s4d": 0.1}.items()
            for seed, score in enumerate((base - 1e-4, base, base + 1e-4))
        ]

    assert "ahead" not in said(runs(0.105))
    assert "Tied" not in said(runs(0.105))
    assert "dlr is ahead on 1 of 1 task" in said(runs(0.115))


def test_what_nobody_answers_has_no_part_in_the_ranks():
    answered = [*seeded("a/one", dlr=0.9, s4d=0.5), *seeded("a/two", dlr=0.8, s4d=0.3)]
    noise = seeded("a/three", dlr=0.04, s4d=0.05)
    assert "Over the 2 tasks that 2 models share" in said([*answered, *noise])


def test_the_length_from_which_attention_is_overtaken_is_said():
    (sentence,) = (line for line in Report(sweep()).headlines if "scaling/forward" in line)
    assert sentence.startswith("On scaling/forward, transformer is overtaken by lstm from length ")
    assert " and s4d from length " in sentence


def test_runs_without_a_result_are_counted_with_why():
    records = [
        scored(0.9),
        lost("a/one", "s4d", "killed", "Signal 9."),
        lost("a/one", "lstm", "not-run", "Too long."),
        lost("a/two", "lstm", "not-run", "Too long."),
    ]
    assert said(records) == (
        "3 of 4 runs have no result: "
        "2 not run, as they were predicted to leave the budget; 1 killed."
    )


def test_it_is_counted_how_scores_stand_to_published_ones():
    words = ["matches", "below", "not comparable", "matches"]
    assert headlines({}, [], [], words) == [
        "Scores beside published ones: 1 below, 2 matches and 1 not comparable."
    ]


def test_no_records_say_nothing():
    assert said([]) == ""


@pytest.mark.parametrize(
    ("names", "text"),
    [("", ""), ("a", "a"), ("ab", "a and b"), ("abcd", "a, b, c and d"),
     ("abcde", "a, b, c and 2 more")],
)  # fmt: skip
def test_of_many_names_a_sentence_has_a_few(names, text):
    assert named(names) == text


def test_the_protocol_stands_in_full_with_what_differs_between_tasks():
    report = Report(
        [
            scored(0.5, task="a/one"),
            scored(0.5, task="a/one", seed=1),
            scored(0.5, task="a/three", protocol=Protocol(steps=7)),
            scored(0.5, task="a/two", protocol=Protocol(steps=7)),
            measured(64, [0.1]),
        ]
    )
    (table,) = report.tables()["Protocol"]
    assert table.columns == ("Tasks", "steps", "seeds")
    assert [[text.text for text in row] for row in table.rows] == [
        ["a/one", "1000", "0 to 1"],
        ["a/three, a/two", "7", "0"],
    ]
    shared = dict(protocol(report.groups))
    assert "batch 32" in shared["Every measurement"]
    assert "warmup" not in shared["Every measurement"]
    every = shared["Every training"].split(", ")
    assert {"batch 32", "width 64", "depth 2", "learning rate the recipe's"} <= {*every}
    # Not the budget of measurements, trials, and the steps above; but a device and two limits.
    assert len(every) == len(dataclasses.fields(Protocol)) - 3 + 3
