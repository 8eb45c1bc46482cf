"""A run of a plugin that was edited is done again; one that was not made, or on purpose, too."""

from pathlib import Path

import pytest

from harness.core.config import Protocol, RunSpec
from harness.core.messages import Result
from harness.results.aggregate import cells
from harness.results.store import Store
from harness.runner import sweep as module
from harness.runner.sweep import Sweep, perform, plan
from tests.unit.runner.one_by_one import OneByOne

LEAKY = Path(__file__).parents[2] / "docs/examples/leaky.py"
TINY = Protocol(steps=2, batch=2, width=4, depth=1, evaluations=1)
TASK = "synthetic/shift[length=16,shifts=2]"


def ends(sweep):
    """Plan and do a sweep; returns whether each run was stored before, and its outcome."""
    found = []
    planned = plan(sweep)
    assert planned.problems == []
    for _ in perform(sweep, planned.runs, lambda each: each.record and found.append(each)):
        pass
    return [(each.stored, each.record.outcome) for each in found]


def asked(folder, plugin, *seeds, again=False):
    runs = tuple(RunSpec(task=TASK, model="leaky", protocol=TINY, seed=seed) for seed in seeds)
    return Sweep(runs=runs, results=str(folder), plugins=(str(plugin),), again=again)


def test_an_edited_plugin_is_run_again_and_no_row_mixes(tmp_path):
    plugin, folder = tmp_path / "leaky.py", tmp_path / "results"
    plugin.write_text(LEAKY.read_text())
    assert ends(asked(folder, plugin, 0, 1)) == [(False, "ok")] * 2
    assert ends(asked(folder, plugin, 0)) == [(True, "ok")]
    plugin.write_text(LEAKY.read_text() + "\n# Another model from here on.\n")

    assert ends(asked(folder, plugin, 0)) == [(False, "ok")]

    records = Store(folder).records()
    assert len(records) == 3
    assert [cell.n for cell in cells(records)] == [1]
    assert all(record.sources["model"].packages["torch"] for record in records)


class Scripted(OneByOne):
    """Ends runs as told, without a child."""

    def __init__(self, *outcomes):
        super().__init__()
        self.outcomes = iter(outcomes)

    def execute(self, job, on_progress):
        return Result(outcome=next(self.outcomes), reason="As told.")


@pytest.fixture
def scripted(monkeypatch):
    """Let runs end as told."""
    return lambda *outcomes: monkeypatch.setattr(
        module, "load_executor", lambda _: Scripted(*outcomes)
    )


def test_a_length_that_was_refused_after_a_killed_one_is_tried_once_that_goes_well(
    tmp_path, scripted
):
    runs = tuple(RunSpec(task=f"scaling/forward[length={n}]", model="s4d") for n in (64, 128))
    ladder = Sweep(runs=runs, results=str(tmp_path))
    scripted("killed", "killed")
    assert ends(ladder) == [(False, "killed"), (False, "not-run")]
    assert ends(ladder) == [(False, "killed"), (False, "not-run")]
    lines = [len(path.read_text().splitlines()) for path in tmp_path.rglob("*.jsonl")]
    assert lines == [3], "a refusal that says nothing new is no line"

    scripted("ok", "ok")

    assert ends(ladder) == [(False, "ok"), (False, "ok")]
    assert ends(ladder) == [(True, "ok"), (True, "ok")]


def test_a_run_is_repeated_on_purpose(tmp_path, scripted):
    scripted("ok", "ok")
    once = Sweep(runs=(RunSpec(task=TASK, model="s4d"),), results=str(tmp_path))
    again = Sweep(runs=once.runs, results=once.results, again=True)

    assert [*ends(once), *ends(once), *ends(again)] == [(False, "ok"), (True, "ok"), (False, "ok")]
    assert len(Store(tmp_path).records()) == 1
