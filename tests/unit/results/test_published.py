"""Published figures: every row is of the schema, names what there is, and adds up as it says."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from harness.core.errors import SpecError
from harness.plugins.cite import bibliography
from harness.plugins.loading import load_model, load_task
from harness.results.claims import papers
from harness.results.published import Figure, Printed, chosen, published_costs, published_figures

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "results" / "published"
FIGURES, COSTS = published_figures(FOLDER), published_costs(FOLDER)
EVERY: list[Printed] = [*FIGURES, *COSTS]
ARENA = ("listops", "text", "retrieval", "image", "pathfinder", "path-x")
PRINTED_SO = {("Sinkhorn Transformer", 51.29), ("S7", 71.82)}
"""Averages that are not those of their rows in the source itself."""
HEAD = "paper_model,model,task,value,unit,metric,source,table,provenance,read_in"
ROW = "S4D,s4d,lra/text,86.2,percent,accuracy,one,Table 1,paper,a file"


def read(folder: Path, row: str = ROW, head: str = HEAD) -> Figure:
    """Write a file of one row and read it."""
    (folder / "one.csv").write_text(f"{head}\n{row}\n")
    [found] = published_figures(folder)
    return found


def test_every_figure_is_there_by_where_it_was_read() -> None:
    assert Counter(figure.provenance for figure in FIGURES) == {
        "paper": 233,
        "submission": 12,
        "table image": 105,
        "repository": 174,
        "second-hand": 328,
    }
    assert Counter(cost.provenance for cost in COSTS) == {
        "paper": 45,
        "submission": 16,
        "repository": 107,
        "pull request": 39,
    }


def test_no_figure_is_from_memory() -> None:
    for path in FOLDER.rglob("*.csv"):
        assert "memory]" not in path.read_text()
        assert "from memory" not in path.read_text()


@pytest.mark.parametrize("model", sorted({row.model for row in EVERY if row.model}))
def test_a_model_of_ours_beside_a_published_one_loads(model: str) -> None:
    load_model(model)


@pytest.mark.parametrize("task", sorted({row.task for row in EVERY if row.task}))
def test_a_task_of_ours_beside_a_published_one_loads(task: str) -> None:
    load_task(task)


def test_every_source_has_one_entry_in_one_bibliography() -> None:
    ours, theirs = bibliography(FOLDER), bibliography(ROOT / "baselines")

    assert ours.keys() & theirs.keys() == set()
    cited = {each.source for each in (*EVERY, *papers())}
    assert cited <= ours.keys() | theirs.keys()
    assert ours.keys() <= cited
    numbers = [
        number for entry in (*ours.values(), *theirs.values())
        for number in re.findall(r"eprint\s*= \{([^}]+)", entry)
    ]  # fmt: skip
    assert len(numbers) == len({*numbers})


def test_a_file_holds_the_rows_of_the_source_that_it_is_named_after() -> None:
    for path in FOLDER.rglob("*.csv"):
        with path.open(newline="") as file:
            assert {row["source"] for row in csv.DictReader(file)} == {path.stem}


def test_no_row_stands_twice() -> None:
    assert max(Counter(EVERY).values()) == 1


def printed_beside(average: Figure) -> dict[str, float | str]:
    """Return the values that an average is of, by task: those of its line in the table."""
    line = (average.source, average.table, average.paper_model, average.variant, average.metric)
    return {
        each.paper_task: each.value
        for each in FIGURES
        if (each.source, each.table, each.paper_model, each.variant, each.metric) == line
        and not each.averaging
    }


AVERAGES = [
    each
    for each in FIGURES
    if each.averaging and printed_beside(each) and (each.paper_model, each.value) not in PRINTED_SO
]


@pytest.mark.parametrize("average", AVERAGES, ids=lambda each: f"{each.source}-{each.value}")
def test_an_average_is_that_of_its_line_by_its_convention(average: Figure) -> None:
    over, _, failing = average.averaging.partition(", failed ")
    rows = printed_beside(average)
    if over == "over 5":
        rows = {name: value for name, value in rows.items() if name != "lra/path-x"}
    counted = [float(value) for value in rows.values() if value != "failed"]
    if failing.startswith("as "):
        counted += [float(failing.removeprefix("as "))] * (len(ARENA) - len(counted))
    assert isinstance(average.value, float)
    rounding = 0.0011 if average.unit == "fraction" else 0.11
    assert sum(counted) / len(counted) == pytest.approx(average.value, abs=rounding)


def test_what_sources_say_against_each_other_is_all_there() -> None:
    found = chosen(FIGURES, "mad/fuzzy-recall", ["DeltaNet"], EVERY)

    assert sorted(round(figure.score or 0, 3) for figure in found) == [0.357, 0.393, 0.555]
    assert len({figure.source for figure in found}) == 3


def test_a_failure_is_no_number(tmp_path: Path) -> None:
    failed = read(tmp_path, ROW.replace("86.2", "failed"))

    assert failed.score is None
    assert failed.interval is None


def test_a_standard_error_becomes_an_interval_and_an_unknown_spread_stays(tmp_path: Path) -> None:
    head, row = f"{HEAD},spread,spread_kind,runs", f"{ROW},0.1,standard error,3"

    error, unknown = read(tmp_path, row, head), read(tmp_path, f"{ROW},0.1,,", head)

    assert error.interval == pytest.approx((0.862 - 0.0043027, 0.862 + 0.0043027), abs=1e-6)
    assert unknown.interval == pytest.approx((0.861, 0.863))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (ROW.replace("86.2", "high"), "`$.value`"),
        (ROW.replace("86.2", "nan"), "`value` is no number"),
        (ROW.replace("paper,", "memory,"), "`$.provenance`"),
        (ROW.replace("s4d", "S4D!"), "'S4D!' is not a name"),
        (ROW.replace("one", ""), "`source`"),
        (f"{ROW},more", "cells beyond the last column"),
    ],
)
def test_a_wrong_row_is_told_with_its_file_and_line(tmp_path: Path, wrong: str, told: str) -> None:
    with pytest.raises(SpecError) as error:
        read(tmp_path, f"{ROW}\n{wrong}")

    assert str(error.value).startswith(f"{tmp_path}/one.csv, line 3: ")
    assert told in str(error.value)
    assert str(error.value).endswith("docs/published.md says what stands in each column.")


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"averaging": "over 6"}, "of no task"),
        ({"task": "", "averaging": "six"}, "reads like"),
        ({"spread": "1", "spread_kind": "standard error"}, "`runs`"),
        ({"examples": "100"}, "stand together"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_cells_that_do_not_go_together_are_told(
    tmp_path: Path, cells: dict[str, str], told: str
) -> None:
    held = {**dict(zip(HEAD.split(","), ROW.split(","), strict=True)), **cells}
    with pytest.raises(SpecError, match=told):
        read(tmp_path, ",".join(held.values()), ",".join(held))


def test_a_task_is_found_with_its_folder_or_by_the_name_in_a_paper() -> None:
    names = {row.paper_task for row in chosen(FIGURES, "lra/*", [], EVERY)}

    assert {f"lra/{name}" for name in ARENA} | {"lra average"} <= names
    assert {row.task for row in chosen(FIGURES, "lra/text", [], EVERY)} == {
        "lra/text[variant=s4]",
        "lra/text[variant=original]",
    }
    assert chosen(FIGURES, "SQuAD V2", ["hawk"], EVERY)


def test_an_unknown_task_or_model_is_told_with_the_near_miss() -> None:
    with pytest.raises(SpecError, match=r"called 'lra/txt'. Did you mean 'lra/text'\?"):
        chosen(FIGURES, "lra/txt", [], EVERY)
    with pytest.raises(SpecError, match=r"called 's4x'. Did you mean 's4d?'\?"):
        chosen(FIGURES, "lra/text", ["s4x"], EVERY)
