"""The report says how far papers rank models alike, and as its records do; and who contradicts."""

import csv
import io

import msgspec
from rich.console import Console

from harness.core.config import Protocol, Selector
from harness.report import Report, print_published, write
from harness.report.agreement import (
    MOST_SHOWN,
    OURS,
    agreement_csv,
    agreement_table,
    contradiction_csv,
    contradiction_table,
    measured,
)
from harness.results.aggregate import comparable_groups
from harness.results.agreement import agreements
from harness.results.published import Figure
from tests.unit.report.made_records import scored, sweep

TASK = "retrieval/mqar"
MODELS = ("dlr", "gru", "lstm", "s4d")
MAD = ("mad/compression", "mad/fuzzy-recall", "mad/memorization")


def figures(source, points, **fields):
    """Return what an invented paper says of our models."""
    given = {"unit": "percent", "metric": "accuracy", "provenance": "paper", **fields}
    return [
        Figure(
            paper_model=model.upper(),
            model=Selector(model),
            task=Selector(TASK),
            source=source,
            table="Table 1",
            read_in="a file",
            value=value,
            **given,
        )
        for model, value in zip(MODELS, points, strict=True)
    ]


def records(points, **fields):
    return [
        scored(value / 100, half=0.01, task=TASK, model=model, **fields)
        for model, value in zip(MODELS, points, strict=True)
    ]


ONE = figures("one", (80, 60, 40, 20))
TWO = figures("two", (60, 80, 40, 20))
OWN = records((90, 60, 40, 20))


def found(known=(*ONE, *TWO), own=OWN):
    return agreements(known, measured(comparable_groups(own), known))


def texts(table):
    return [[text.text for text in row] for row in table.rows]


def test_these_records_come_first_and_every_two_sources_have_a_row():
    rows = texts(agreement_table(found()))

    assert [row[:2] for row in rows] == [[OURS, "one"], [OURS, "two"], ["one", "two"]]
    assert [row[2:7] for row in rows] == [
        ["1", "4", "6", "6", "0"],
        ["1", "4", "6", "5", "1"],
        ["1", "4", "6", "5", "1"],
    ]
    assert [row[7].partition(" ")[0] for row in rows] == ["1.00", "0.67", "0.67"]


def test_a_contradiction_is_one_sentence_with_all_who_take_sides():
    table = contradiction_table(found())

    [[task, sentence]] = texts(table)
    assert task == TASK
    assert sentence == (
        f"dlr is ahead of gru in {OURS} (0.900 ± 0.010, 0.600 ± 0.010) and one (0.800, 0.600), "
        "behind in two (0.600, 0.800)."
    )


def test_a_figure_from_another_source_is_called_so():
    quoted = figures("two", (60, 80, 41, 21), provenance="second-hand")
    [[_, sentence]] = texts(contradiction_table(found((*ONE, *quoted), [])))

    assert sentence.endswith("behind in two (0.600, 0.800; second-hand).")


def test_the_surest_contradictions_come_first_and_the_others_are_counted():
    reverse = figures("two", (20, 41, 61, 82))
    [[_, first], *_] = texts(contradiction_table(found((*ONE, *reverse), [])))
    assert first.startswith("DLR is ahead of S4D")

    many = [
        msgspec.structs.replace(each, task=Selector(f"invented/task-{number}"))
        for number in range(3)
        for each in (*ONE, *reverse)
    ]
    table = contradiction_table(found(many, []))
    assert len(table.rows) == MOST_SHOWN
    assert "There are 6 more." in table.note


def test_other_conditions_are_a_ranking_of_their_own():
    longer = records((20, 40, 60, 80), protocol=Protocol(steps=9000))
    rows = texts(agreement_table(found(own=[*OWN, *longer])))

    assert [row[0] for row in rows].count("one") == 1
    assert len({row[0] for row in rows}) == 3


def test_a_score_counted_as_the_paper_counts_is_what_is_ranked():
    known = figures("one", (80, 60, 40, 20), metric="macro accuracy")
    assert found(known) == []

    for record, macro in zip(OWN, (0.1, 0.2, 0.3, 0.4), strict=True):
        record.learned.scores["test"]["macro_accuracy"] = macro
    [ours] = found(known)
    assert ours.tau == -1


def test_the_csv_files_have_every_agreement_and_every_contradiction():
    every = found()
    sums = list(csv.DictReader(io.StringIO(agreement_csv(every))))
    opposed = list(csv.DictReader(io.StringIO(contradiction_csv(every))))

    assert [float(row["tau"]) for row in sums] == [each.tau for each in every]
    assert sums[0]["models"] == "; ".join(MODELS)
    assert [row["source"] for row in opposed] == [OURS, "one"]
    assert (opposed[1]["score"], opposed[1]["score_there"]) == ("0.8", "0.6")


def test_a_report_of_mad_shows_how_far_its_papers_agree(tmp_path):
    own = [
        scored(score, task=task, model=model)
        for task in MAD
        for model, score in {"transformer": 0.5, "deltanet": 0.4, "gla": 0.3, "mamba": 0.2}.items()
    ]
    for record in own:
        record.learned.scores["test"]["macro_accuracy"] = record.learned.score
    titles = [table.title for table in Report(own).tables()["Beside the literature"]]

    paths = write(own, tmp_path, forms=["md", "csv"])
    text = (tmp_path / "report.md").read_text()

    assert "How far rankings agree" in titles
    assert "Where rankings contradict each other" in titles
    assert {"agreement.csv", "contradictions.csv"} <= {path.name for path in paths}
    assert f"| {OURS} | jbara2025linattn | 3 | 4 |" in text


def test_a_report_whose_tasks_no_two_sources_share_has_none_of_it(tmp_path):
    paths = write(sweep(), tmp_path, forms=["md", "csv"])

    assert "agreement.csv" not in {path.name for path in paths}
    assert "How far rankings agree" not in (tmp_path / "report.md").read_text()


def test_what_is_published_of_a_task_is_printed_with_how_far_it_agrees():
    console = Console(file=io.StringIO(), width=120)

    print_published([*ONE, *TWO], [], [], found(own=[]), console)

    assert "How far rankings agree" in console.file.getvalue()
    assert "DLR is ahead of GRU in one" in console.file.getvalue()
