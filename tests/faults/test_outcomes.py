"""Whatever becomes of a run leaves a record with its outcome and reason, and the sweep goes on."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.core.config import Limits, Protocol, RunSpec
from harness.results.store import Store
from harness.runner.sweep import Sweep, perform, plan

PLUGIN = str(Path(__file__).parent / "faulty.py")
PROTOCOL = Protocol(steps=3, batch=2, width=4, depth=1, evaluations=1)
TASK = "synthetic/shift[length=16,shifts=2]"
MIB = 2**20


def sweep(folder, *faults, limits=None):
    runs = [RunSpec(task=TASK, model=f"faulty[fault={f}]", protocol=PROTOCOL) for f in faults]
    return Sweep(
        runs=tuple(runs), results=str(folder), plugins=(PLUGIN,), limits=limits or Limits()
    )


def outcomes(asked, watch=lambda update: None):
    return [(r.outcome, r.reason) for r in perform(asked, plan(asked).runs, watch)]


@pytest.mark.parametrize(
    ("fault", "limits", "outcome", "reason"),
    [
        ("nap", Limits(timeout_s=2), "timed-out", "Stopped after 2 s"),
        ("hog", Limits(memory_bytes=600 * MIB), "out-of-memory", "0.586 GiB"),
        ("crash", Limits(), "failed", "KeyError"),
        ("diverge", Limits(), "diverged", "The loss is nan at step 1 of 3"),
        ("kill", Limits(), "killed", "SIGKILL"),
        ("exit", Limits(), "failed", "code 3"),
    ],
)
def test_a_fault_becomes_an_outcome_and_the_next_run_is_done(
    tmp_path, fault, limits, outcome, reason
):
    # Nothing can be done in two seconds, so behind a nap comes another.
    follower = "nap" if fault == "nap" else "none"
    after = "timed-out" if fault == "nap" else "ok"
    models = [f"faulty[fault={fault}]", f"faulty[fault={follower}]"]
    asked = sweep(tmp_path, limits=limits)
    runs = [RunSpec(task=TASK, model=m, protocol=PROTOCOL, seed=i) for i, m in enumerate(models)]
    (lost, why), (then, _) = outcomes(replace(asked, runs=tuple(runs)))

    assert lost == outcome
    assert reason in why
    assert then == after
    assert [record.outcome for record in Store(tmp_path).records()] == [outcome, after]


def test_what_lies_in_the_present_folder_takes_no_modules_place_in_a_child(tmp_path, monkeypatch):
    """A folder `demo`, with a project in it, would hide the model `demo` that it was made for."""
    (tmp_path / "torch.py").write_text("raise RuntimeError('this is no torch')")
    monkeypatch.chdir(tmp_path)

    assert outcomes(sweep(tmp_path / "results", "none")) == [("ok", "")]


def test_a_worker_that_is_killed_from_outside_leaves_its_outcome(tmp_path):
    asked = sweep(tmp_path, "nap", "none")

    def kill_the_first_worker():
        me = psutil.Process()
        workers = []
        while not workers:
            workers = [c for c in me.children() if "harness.runner.worker" in c.cmdline()]
            time.sleep(0.05)
        workers[0].kill()

    planned = plan(asked).runs
    thread = threading.Thread(target=kill_the_first_worker)
    thread.start()
    results = [(record.outcome, record.reason) for record in perform(asked, planned)]
    thread.join()

    assert results[0][0] == "killed"
    assert "SIGKILL" in results[0][1]
    assert results[1][0] == "ok"


def test_what_a_plugin_prints_does_not_garble_the_lines(tmp_path):
    assert outcomes(sweep(tmp_path, "chatter")) == [("ok", "")]


def test_an_address_space_that_is_evaded_is_bounded_by_the_parent(tmp_path, monkeypatch):
    asked = sweep(tmp_path, "hog", limits=Limits(memory_bytes=300 * MIB))
    monkeypatch.setattr("harness.runner.executors.local.SLACK", 0.3)

    ((outcome, reason),) = outcomes(asked)

    assert outcome == "out-of-memory"
    assert "resident of 0.293 GiB allowed" in reason


def test_a_finished_run_is_not_repeated_and_a_killed_one_is(tmp_path):
    asked = sweep(tmp_path, "kill", "none")
    list(perform(asked, plan(asked).runs))
    stored = []

    list(perform(asked, plan(asked).runs, stored.append))

    ends = [update for update in stored if update.record is not None]
    assert [end.stored for end in ends] == [False, True]


def test_larger_limits_give_a_timed_out_run_another_try(tmp_path):
    short = sweep(tmp_path, "nap", limits=Limits(timeout_s=0.5))
    list(perform(short, plan(short).runs))
    shorter = replace(short, limits=Limits(timeout_s=0.2))
    longer = replace(short, limits=Limits(timeout_s=1))

    def repeated(asked):
        ends = []
        list(perform(asked, plan(asked).runs, lambda u: ends.append(u) if u.record else None))
        return not ends[-1].stored

    assert not repeated(shorter)
    assert repeated(longer)


def test_one_seed_gives_identical_scores_and_another_seed_differs(tmp_path):
    runs = [RunSpec(task=TASK, model="faulty", protocol=PROTOCOL, seed=seed) for seed in (0, 1)]
    found = []
    for folder in ("a", "b"):
        asked = Sweep(runs=tuple(runs), results=str(tmp_path / folder), plugins=(PLUGIN,))
        found.append([r.learned for r in perform(asked, plan(asked).runs)])
    (first, other), (again, other_again) = found

    assert first.scores == again.scores
    assert first.curve == again.curve
    assert other.scores == other_again.scores
    assert first.scores != other.scores
