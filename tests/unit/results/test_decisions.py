"""What records say of a claim: pairs of seeds, averaged over tasks, until an interval decides."""

from dataclasses import replace

import pytest
from msgspec import structs

from harness.core.errors import SpecError
from harness.results.claims import parse_claim
from harness.results.decisions import Question
from tests.unit.report.made_records import blank, planned, scored

A, B, TASK = "mamba@1", "s4d@1", "synthetic/shift@1"


def question(line, *tasks):
    """Return a question of runs that are planned for seed 0."""
    names = tasks or (TASK,)
    runs = [planned(task, model) for model in (A, B) for task in names]
    return Question(parse_claim(line), tuple(structs.replace(r, task=r.task.label) for r in runs))


def pairs(firsts, seconds, task="synthetic/shift", **fields):
    """Make records of both models, a seed a pair."""
    return [
        scored(score, task=task, model=model, seed=seed, **fields)
        for model, scores in (("mamba", firsts), ("s4d", seconds))
        for seed, score in enumerate(scores)
    ]


BETTER = pairs([0.90, 0.91, 0.92], [0.50, 0.52, 0.51])


@pytest.mark.parametrize(
    ("line", "answer", "code"),
    [
        ("mamba > s4d on synthetic/shift", "holds", 0),
        ("mamba ≈ s4d on synthetic/shift within 2 points", "fails", 1),
        ("mamba ≈ s4d on synthetic/shift within 60 points", "holds", 0),
    ],
)
def test_a_clear_difference_decides_at_the_first_look(line, answer, code):
    decision = question(line).decide(BETTER)

    assert (decision.answer, decision.code, decision.needed) == (answer, code, None)
    assert decision.seeds == (0, 1, 2)
    assert (
        "mamba has 0.91 and s4d 0.51 over 3 seeds; the first less the second is +0.4"
        in decision.sentence
    )


def test_a_claim_fails_where_the_other_model_is_better():
    records = pairs([0.50, 0.52, 0.51], [0.90, 0.91, 0.92])

    assert question("mamba > s4d on synthetic/shift").decide(records).answer == "fails"


def test_less_is_better_where_the_metric_says_so():
    records = pairs([0.50, 0.52, 0.51], [0.90, 0.91, 0.92], lower=True)

    decision = question("mamba > s4d on synthetic/shift").decide(records)

    assert decision.answer == "holds"
    assert decision.difference == pytest.approx(0.4)


def test_noise_leaves_a_claim_undecided_and_says_how_many_seeds_it_would_take():
    decision = question("mamba > s4d on synthetic/shift").decide(
        pairs([0.9, 0.8, 0.7, 0.9], [0.7, 0.75, 0.7, 0.6])
    )

    assert (decision.answer, decision.code) == ("undecided", 3)
    assert 4 < decision.needed <= 100
    assert f"it would take about {decision.needed} seeds" in decision.sentence


def test_equal_scores_are_never_decided():
    decision = question("mamba > s4d on synthetic/shift").decide(pairs([0.9] * 5, [0.9] * 5))

    assert decision.answer == "undecided"
    assert "more than 100 seeds" in decision.sentence


def test_two_seeds_are_no_look():
    decision = question("mamba > s4d on synthetic/shift").decide(pairs([0.9] * 2, [0.1] * 2))

    assert (decision.answer, decision.interval) == ("undecided", None)
    assert "over 2 seeds; a first look takes 3" in decision.sentence


def test_several_tasks_are_averaged_before_seeds_are_and_shown_apart():
    cumsum = "synthetic/cumsum"
    records = BETTER + pairs([0.50, 0.52, 0.51, 0.5], [0.60, 0.61, 0.62, 0.6], task=cumsum)

    decision = question("mamba > s4d on synthetic/*", TASK, f"{cumsum}@1").decide(records)

    assert decision.seeds == (0, 1, 2)
    assert [(each.task, round(each.mean_a, 3)) for each in decision.tasks] == [
        ("synthetic/shift", 0.91),
        (cumsum, 0.51),
    ]
    assert decision.difference == pytest.approx((0.4 - 0.1) / 2)


def test_a_run_that_diverged_scores_chance():
    lost = blank(model="s4d", seed=2, outcome="diverged", reason="The loss is no number.")
    records = [each for each in BETTER if (each.model, each.spec.seed) != ("s4d", 2)]

    decision = question("mamba > s4d on synthetic/shift").decide([*records, lost])

    assert decision.seeds == (0, 1, 2)
    assert decision.tasks[0].mean_b == pytest.approx((0.50 + 0.52 + 0.1) / 3)


def test_a_claim_of_a_further_evaluation_counts_its_scores():
    def longer(record):
        scores = {"length-256": {"accuracy": 1 - record.learned.score}}
        return structs.replace(record, learned=structs.replace(record.learned, scores=scores))

    asked = question("mamba > s4d on synthetic/shift at length-256")

    assert asked.decide(map(longer, BETTER)).answer == "fails"


def test_a_further_evaluation_that_no_run_has_is_an_obstacle():
    decision = question("mamba > s4d on synthetic/shift at length-256").decide(BETTER)

    assert decision.sentence.startswith("Undecided: mamba on synthetic/shift has no score at 'l")
    assert "it has" in decision.sentence


def test_a_run_that_no_seed_would_mend_is_an_obstacle():
    skipped = blank(model="s4d", outcome="skipped", reason="It has no step mode.")

    decision = question("mamba > s4d on synthetic/shift").decide([*BETTER[:1], skipped])

    assert "s4d on synthetic/shift is skipped: It has no step mode." in decision.sentence
    assert decision.code == 3


def test_records_of_another_protocol_do_not_count():
    protocol = replace(planned().spec.protocol, steps=7)

    decision = question("mamba > s4d on synthetic/shift").decide(
        pairs([0.9] * 3, [0.1] * 3, protocol=protocol)
    )

    assert decision.seeds == ()


def test_two_names_of_one_model_are_no_claim():
    with pytest.raises(SpecError, match="are one model"):
        Question(parse_claim("s4d > s4d[state=64] on t"), (planned(), planned()))


def test_what_is_measured_has_no_score_to_claim():
    runs = tuple(planned("scaling/forward", model) for model in ("s4", "s4d"))

    with pytest.raises(SpecError, match="is measured and has no score"):
        Question(parse_claim("s4 > s4d on scaling/forward"), runs)
