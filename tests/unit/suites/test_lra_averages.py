"""Which runs count in Long Range Arena's averages: those as published, of one variant."""

import pytest

from harness import load_task
from harness.core.config import Limits, RunSpec
from harness.core.messages import PlanRequest, Result
from harness.runner.course import recorded
from harness.runner.planning import plan

AS_PUBLISHED = {
    "lra/listops": "",
    "lra/text": "variant={}",
    "lra/retrieval": "variant={}",
    "lra/image": "variant={}",
    "lra/pathfinder": "sets=published,variant={}",
    "lra/path-x": "sets=published,variant={}",
}


def published(variant):
    """Load the six tasks as they were published."""
    names = {name: options.format(variant) for name, options in AS_PUBLISHED.items()}
    return {name: load_task(f"{name}[{inner}]" if inner else name) for name, inner in names.items()}


@pytest.mark.parametrize("variant", ["s4", "original"])
@pytest.mark.parametrize("count", [5, 6])
def test_the_tasks_that_an_average_names_are_those_that_count_in_it(variant, count) -> None:
    name, tasks = f"lra-{count} ({variant})", published(variant)
    members = [task for task in tasks if name in tasks[task].averages()]

    assert members == list(AS_PUBLISHED)[:count]
    for task in members:
        assert list(tasks[task].averages()[name]) == members


def test_a_failed_path_x_counts_as_its_chance_and_no_other_failure_counts() -> None:
    tasks = published("s4")
    assert tasks["lra/listops"].averages()["lra-6 (s4)"] == {
        **dict.fromkeys(list(AS_PUBLISHED)[:5]),
        "lra/path-x": tasks["lra/path-x"].chance,
    }


def test_only_listops_counts_for_both_variants() -> None:
    theirs = {name: set(task.averages()) for name, task in published("s4").items()}
    other = {name: set(task.averages()) for name, task in published("original").items()}

    assert [name for name in theirs if theirs[name] & other[name]] == ["lra/listops"]


def test_listops_read_at_its_first_position_counts_as_the_arenas_own() -> None:
    task = load_task("lra/listops[pool=first]")
    assert set(task.averages()) == {"lra-5 (original)", "lra-6 (original)"}


@pytest.mark.parametrize(
    "selector",
    [
        "lra/text[length=1000]",
        "lra/text[length=4000]",
        "lra/text[length=4096,variant=original]",
        "lra/retrieval[length=1000]",
        "lra/pathfinder",
        "lra/pathfinder[sets=smoke]",
        "lra/pathfinder[sets=published,distractors=asked]",
        "lra/path-x",
        "lra/pathfinder-64[sets=published]",
        "lra/path-256[sets=published]",
        "images/scifar",
        "synthetic/listops-subtrees",
        "synthetic/pathfinder-segmentation",
    ],
)
def test_what_is_not_as_published_counts_in_no_average(selector) -> None:
    assert load_task(selector).averages() == {}


@pytest.mark.parametrize(
    ("selector", "same"),
    [
        ("lra/text[length=4096]", "lra/text"),
        ("lra/text[length=4000,variant=original]", "lra/text[variant=original]"),
        ("lra/retrieval[source=copies]", "lra/retrieval"),
    ],
)
def test_options_that_change_nothing_in_the_data_change_no_average(selector, same) -> None:
    assert load_task(selector).averages() == load_task(same).averages() != {}


def test_a_planned_run_knows_its_averages() -> None:
    runs = [
        RunSpec(task=task, model="s4d")
        for task in ("lra/path-x[sets=published]", "lra/path-x", "scaling/forward[length=1024]")
    ]
    found = [run.averages for run in plan(PlanRequest(runs=runs, plugins=[])).runs]

    assert [list(averages) for averages in found] == [["lra-6 (s4)"], [], []]
    assert found[0]["lra-6 (s4)"]["lra/path-x"] == 0.5


def test_a_record_keeps_the_averages_also_without_a_score() -> None:
    asked = RunSpec(task="lra/path-x[sets=published]", model="s4d")
    [run] = plan(PlanRequest(runs=[asked], plugins=[])).runs

    record = recorded(run, Result(outcome="diverged"), Limits(), {}, "")

    assert record.averages == load_task("lra/path-x[sets=published]").averages() != {}
