"""The report sets what was measured beside what was published; the verb prints the latter."""

import csv
import io
from typing import Any

import pytest
from rich.console import Console

from harness.report import Report, formats, print_published, print_tables
from harness.report.literature import (
    beside_published,
    cost_table,
    figure_tables,
    literature_csv,
    literature_table,
)
from harness.results.aggregate import comparable_groups
from harness.results.agreement import agreements
from harness.results.published import chosen, published_costs, published_figures
from tests.unit.report.made_records import lost, measured, scored

FIGURES, COSTS = published_figures(), published_costs()
SCIFAR: dict[str, Any] = {"task": "images/scifar", "model": "lru"}


def beside(*records: Any) -> list[Any]:
    return beside_published(comparable_groups(records), FIGURES)


def test_a_score_stands_beside_every_figure_of_its_model_and_task() -> None:
    found = beside(*(scored(0.89, seed=seed, **SCIFAR) for seed in range(3)))

    assert len(found) == 6
    assert {each.there.source for each in found} == {"orvieto2023lru", "solozabal2025dfout"}
    assert {each.task for each in found} == {"images/scifar"}
    own = [each for each in found if not each.there.variant]
    assert [each.verdict.word for each in own] == ["matches"]


def test_comparable_figures_come_first_and_the_reasons_stand_with_the_others() -> None:
    rows = literature_table(beside(scored(0.5, half=0.01, **SCIFAR))).rows
    words = [row[4].text.partition(":")[0] for row in rows]

    assert words[0] == "below"
    assert set(words[1:]) == {"not comparable"}
    assert rows[0][4].text == "below: by 39.0 points; its budget is not stated"
    assert [row[4].missing for row in rows] == [False, *[True] * 5]
    assert any("second-hand" in row[5].text for row in rows)


def test_what_was_counted_as_a_paper_counts_is_set_beside_it_so() -> None:
    record = scored(0.5, task="mad/compression", model="transformer")
    assert record.learned is not None
    record.learned.scores["test"]["macro_accuracy"] = 0.4

    found = beside(record)

    assert {each.there.metric for each in found} == {"macro accuracy"}
    assert {(each.here.metric, each.here.mean) for each in found} == {("macro accuracy", 0.4)}
    assert not any("other metric" in each.verdict.reason for each in found)


def test_what_has_no_score_or_no_published_figure_stands_nowhere() -> None:
    nothing = [
        lost("images/scifar", "lru", "failed", "It broke."),
        scored(task="synthetic/shift", model="s4d"),
        measured(1024, [0.1, 0.2, 0.3]),
    ]

    assert beside(*nothing) == []
    assert "Beside the literature" not in Report(nothing).tables()


def test_further_evaluations_are_set_beside_those_of_papers() -> None:
    record = scored(0.96, task="speech/sc35", model="s5")
    assert record.learned is not None
    record.learned.scores["8 kHz"] = {"accuracy": 0.94}

    found = {each.title: each for each in beside(record)}

    assert found["speech/sc35"].here.mean == 0.96
    assert found["speech/sc35, 8 kHz"].here.mean == 0.94
    assert found["speech/sc35, 8 kHz"].here.interval is None
    assert found["speech/sc35, 8 kHz"].there.value == 94.53


def test_the_csv_has_every_pair_unrounded() -> None:
    found = beside(scored(0.5, half=0.01, **SCIFAR))
    rows = list(csv.DictReader(io.StringIO(literature_csv(found))))

    assert len(rows) == len(found)
    assert rows[0].keys() >= {"here", "published", "verdict", "reason", "source", "provenance"}
    assert {row["here_low"] for row in rows} == {"0.49"}
    assert rows[0]["published"] == "0.89"


def test_markdown_and_terminal_show_the_section() -> None:
    records, console = [scored(0.5, **SCIFAR)], Console(file=io.StringIO(), width=80)
    [table] = Report(records).tables()["Beside the literature"]

    print_tables(records, console)

    assert "| not comparable" in formats.markdown(table).replace("*", "")
    assert "Measured and published" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_best_figure_of_a_task_comes_first_and_failures_last() -> None:
    [table] = figure_tables(chosen(FIGURES, "lra/path-x[sets=published,variant=s4]", [], FIGURES))
    scores = [row[2].text.partition(" ")[0] for row in table.rows]
    numbers = [float(score) for score in scores if score != "failed"]

    assert table.title == "lra/path-x[sets=published,variant=s4]: accuracy, percent"
    assert numbers == sorted(numbers, reverse=True)
    assert scores == [*map("{:g}".format, numbers), *["failed"] * (len(scores) - len(numbers))]
    assert "failed" in scores


def test_of_errors_the_smallest_comes_first() -> None:
    [table] = figure_tables(chosen(FIGURES, "signals/bidmc-hr", [], FIGURES))
    numbers = [float(row[2].text.partition(" ")[0]) for row in table.rows]

    assert numbers == sorted(numbers)
    assert table.title.endswith("rmse, beats a minute")


def test_averages_of_different_conventions_never_stand_in_one_table() -> None:
    averages = chosen(FIGURES, "lra average", [], FIGURES)
    tables = figure_tables(averages)

    assert {table.title for table in tables} == {
        f"lra average, {how}: accuracy, percent" for how in {each.averaging for each in averages}
    }
    assert "lra average, over 6, failed as 50: accuracy, percent" in {t.title for t in tables}
    assert sum(len(table.rows) for table in tables) == len(averages)


def test_variants_of_a_task_never_stand_in_one_table() -> None:
    titles = [table.title for table in figure_tables(chosen(FIGURES, "lra/text", [], FIGURES))]

    assert titles == [f"lra/text[variant={name}]: accuracy, percent" for name in ("original", "s4")]


def test_percent_and_fractions_of_one_task_are_written_alike() -> None:
    found = chosen(FIGURES, "mad/fuzzy-recall", ["DeltaNet"], FIGURES)
    [table] = figure_tables(found)

    assert [row[2].text for row in table.rows] == ["55.5", "39.3", "35.7"]


def test_second_hand_figures_are_marked() -> None:
    for table in figure_tables(chosen(FIGURES, "lra", [], FIGURES)):
        for row in table.rows:
            assert row[4].missing == row[4].text.startswith("second-hand: ")


def test_costs_stand_apart_with_their_device() -> None:
    table = cost_table(chosen(COSTS, "lra/listops", ["LRU"], COSTS))

    [row] = table.rows
    assert [cell.text for cell in row[3:5]] == ["A100", "2.1 steps/s"]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_all_that_is_published_fits_the_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)

    measured = beside(scored(**SCIFAR))
    print_published(FIGURES, COSTS, measured, agreements(FIGURES, {}), console)

    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    assert len(lines) > len(FIGURES)
