"""What is published can be made again from the records beside it."""

from io import StringIO
from pathlib import Path

import matplotlib.image
import pytest
from rich.console import Console

from harness.plugins.loading import load_model, load_task, options
from harness.report import print_tables, write
from harness.report.formats import escaped
from harness.results.aggregate import comparable_groups
from harness.results.store import Store
from tests.unit.report.made_records import scored
from tools import readme_page

RESULTS = Path(__file__).parents[3] / "results"
VERSIONS = sorted(path.name for path in (RESULTS / "records").glob("v*"))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tables_of_a_version_are_those_of_its_records_byte_for_byte(version, tmp_path):
    write(Store(RESULTS / "records" / version).records(), tmp_path)

    for name in ("report.md", "scores.csv", "scaling.csv", "literature.csv"):
        kept = RESULTS / "tables" / version / name
        assert (tmp_path / name).read_bytes() == kept.read_bytes(), name


@pytest.mark.parametrize("version", VERSIONS)
def test_no_published_picture_is_cut_at_an_edge(version):
    pictures = sorted((RESULTS / "tables" / version / "figures").glob("*.png"))

    assert len(pictures) > 5
    for path in pictures:
        shown = matplotlib.image.imread(path)[..., :3]
        for edge in (shown[0], shown[-1], shown[:, 0], shown[:, -1]):
            assert edge.min() == 1, path.name


@pytest.mark.parametrize("folder", ["records/v1", "costs/v1", "claimed/v1"])
def test_a_published_record_is_found_by_the_values_that_it_holds(folder):
    records = Store(RESULTS / folder).records()

    assert records
    assert [record.run_id for record in records] == [record.spec.run_id for record in records]


@pytest.mark.parametrize("folder", ["records/v1", "costs/v1", "claimed/v1"])
def test_what_a_published_run_did_not_choose_is_the_default_of_its_version(folder):
    for record in Store(RESULTS / folder).records():
        for name, held, load in (
            (record.spec.task, record.task_options, load_task),
            (record.spec.model, record.model_options, load_model),
        ):
            recipe = load(name.name)
            if recipe.version == name.version:
                assert options(load(name.label)).items() >= held.items(), record.run_id


@pytest.mark.parametrize("version", VERSIONS)
def test_a_published_record_can_be_traced_to_a_commit(version):
    records = Store(RESULTS / "records" / version).records()

    assert records
    assert all(record.machine["commit"] and not record.machine["dirty"] for record in records)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_published_time_was_read_by_a_clock_that_was_right_or_is_marked_as_no_measure(version):
    for record in Store(RESULTS / "records" / version).records():
        flags = record.machine["selftest"]["flags"]

        assert not any("MB" in flag for flag in flags)
        assert not flags or (record.learns and record.disturbed), record.run_id


def test_the_readme_shows_the_published_scores():
    assert readme_page.main(["--check"]) == 0


def test_the_readme_leaves_out_tasks_that_lack_most_of_its_models_or_an_answer():
    shown = readme_page.SHOWN
    asked = {"a/b": (*shown, "gru"), "a/c": shown[:3], "a/d": shown}
    records = [
        scored(0.5 if task == "a/d" else 0.9, task=task, model=model, chance=0.499)
        for task, models in asked.items()
        for model in models
    ]

    head, _, *kept = readme_page.table(comparable_groups(records)).splitlines()

    assert head == f"| Task | Chance | {' | '.join(map(escaped, shown))} |"
    assert [row.split(" | ")[0] for row in kept] == ["| a/b"]


@pytest.mark.parametrize("width", [80, 160])
def test_published_tables_fit_the_terminal_and_break_no_name(width):
    records = Store(RESULTS / "records" / "v1").records()
    console = Console(file=StringIO(), width=width)

    print_tables(records, console)
    lines = console.file.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    for name in {record.task.name for record in records if record.learns}:
        assert any(line.startswith(name) for line in lines), name
