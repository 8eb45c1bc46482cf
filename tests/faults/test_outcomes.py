"""Whatever becomes of a run leaves a record with its outcome and reason, and the sweep goes on.

A child that imports torch takes more than a second of a processor: one child plans all runs, and
those that need no limits are done once for all tests.
"""

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness.core.config import Limits, Protocol, RunSpec
from harness.measure.allocator import expected
from harness.measure.machine import SPINS, waiting
from harness.results.store import Store
from harness.runner.sweep import Sweep, perform, plan

PLUGIN = str(Path(__file__).parent / "faulty.py")
PROTOCOL = Protocol(steps=3, batch=2, width=4, depth=1, evaluations=1)
TASK = "synthetic/shift[length=16,shifts=2]"
MIB = 2**20
FORKS = sys.platform == "linux"
"""Whether a run's first process was forked; one that is started anew must then say the same."""
UNLIMITED = [
    (fault, 0) for fault in ("crash", "late", "diverge", "kill", "exit", "chatter", "none")
]
"""Faults and seeds of runs that end by themselves."""


@pytest.fixture(scope="module")
def planned():
    """Plan every run of these tests; returns them by fault and seed."""
    wanted = [*UNLIMITED, ("none", 1), ("nap", 0), ("nap", 1), ("hog", 0)]
    asked = Sweep(runs=tuple(run_of(*each) for each in wanted), plugins=(PLUGIN,))
    return dict(zip(wanted, plan(asked).runs, strict=True))


def run_of(fault, seed=0):
    return RunSpec(task=TASK, model=f"faulty[fault={fault}]", protocol=PROTOCOL, seed=seed)


def perform_all(folder, runs, isolation="warm", **limits):
    """Do runs; returns each with its record and whether that was stored before."""
    ends = []
    asked = Sweep(
        runs=(),
        results=str(folder),
        plugins=(PLUGIN,),
        limits=Limits(**limits),
        executor=f"local[isolation={isolation}]",
    )
    for _ in perform(asked, runs, lambda update: update.record and ends.append(update)):
        pass
    return ends


def outcomes(ends):
    return [(end.record.outcome, end.record.reason) for end in ends]


@pytest.fixture(scope="module")
def unlimited(planned, tmp_path_factory):
    """Do the runs that need no limits; returns their folder and how they ended, by fault."""
    folder = tmp_path_factory.mktemp("unlimited")
    ends = perform_all(folder, [planned[each] for each in [*UNLIMITED, ("none", 1)]])
    assert [record.outcome for record in Store(folder).records()] == [
        end.record.outcome for end in ends
    ]
    return folder, dict(zip([*UNLIMITED, ("none", 1)], ends, strict=True))


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ("crash", "failed", "faulty.py, line 29, in <lambda>: 'missing'"),
        ("late", "failed", "faulty.py, line 52, in forward: mat1"),
        ("diverge", "diverged", "The loss is nan at step 1 of 3"),
        ("kill", "killed", "SIGKILL"),
        ("exit", "failed", "code 3"),
        ("chatter", "ok", ""),
        ("none", "ok", ""),
    ],
)
def test_a_fault_becomes_an_outcome_and_the_next_run_is_done(unlimited, fault, outcome, reason):
    record = unlimited[1][fault, 0].record

    assert record.outcome == outcome
    assert reason in record.reason
    assert bool(record.reason) == bool(reason)
    if FORKS:
        again = outcome in {"failed", "killed"}
        assert record.machine["isolation"] == ("fresh" if again else "warm")
        assert record.machine.get("warm") == (f"{outcome}: {record.reason}" if again else None)


def test_a_crash_leaves_its_traceback_and_what_it_had_learned(unlimited):
    partial = unlimited[1]["late", 0].record.partial

    assert (partial.step, partial.steps) == (2, 3)
    assert [step for step, _ in partial.curve][-1] == 2
    assert partial.traceback[-1].startswith("RuntimeError: ")
    assert any(line.startswith('  File "torch/nn/') for line in partial.traceback)
    assert not any('File "/' in line for line in partial.traceback), "records are published"
    assert unlimited[1]["none", 0].record.partial is None


def test_a_finished_run_is_not_repeated_and_a_killed_one_is(planned, unlimited):
    ends = perform_all(unlimited[0], [planned["kill", 0], planned["none", 0]])

    assert [end.stored for end in ends] == [False, True]


def test_one_seed_gives_identical_scores_and_another_seed_differs(planned, unlimited, tmp_path):
    first, other = (unlimited[1]["none", seed].record.learned for seed in (0, 1))
    [again] = [end.record.learned for end in perform_all(tmp_path, [planned["none", 0]])]

    assert first.scores == again.scores
    assert first.curve == again.curve
    assert first.scores != other.scores


def test_a_run_that_hangs_is_stopped_and_larger_limits_alone_give_it_another_try(planned, tmp_path):
    naps = [planned["nap", 0], planned["nap", 1]]

    assert (
        outcomes(perform_all(tmp_path, naps, timeout_s=0.5))
        == [("timed-out", "Stopped after 0.5 s.")] * 2
    )
    assert [end.stored for end in perform_all(tmp_path, naps[:1], timeout_s=0.2)] == [True]
    assert [end.stored for end in perform_all(tmp_path, naps[:1], timeout_s=2)] == [False]


@pytest.mark.parametrize("isolation", ["warm", "fresh"])
def test_a_run_that_hangs_leaves_where_it_hung(planned, tmp_path, isolation):
    [end] = perform_all(tmp_path, [planned["nap", 0]], isolation, timeout_s=20)

    assert end.record.outcome == "timed-out"
    assert any('faulty.py", line 27 in <lambda>' in line for line in end.record.partial.traceback)


def test_a_run_that_takes_all_memory_is_refused_it_and_the_next_run_has_enough(planned, tmp_path):
    ends = perform_all(tmp_path, [planned["hog", 0], planned["none", 0]], memory_bytes=600 * MIB)

    (outcome, reason), then = outcomes(ends)
    assert outcome == "out-of-memory"
    assert "0.586 GiB" in reason
    if FORKS:
        assert ends[0].record.machine["warm"] == f"out-of-memory: {reason}"
    assert then == ("ok", "")


def test_an_address_space_that_is_evaded_is_bounded_by_the_parent(planned, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.runner.executors.process.SLACK", 0.3)

    ends = perform_all(tmp_path, [planned["hog", 0]], memory_bytes=300 * MIB)

    [(outcome, reason)] = outcomes(ends)
    assert outcome == "out-of-memory"
    assert "resident of 0.293 GiB allowed" in reason


def test_a_worker_that_is_killed_from_outside_leaves_its_outcome(planned, tmp_path):
    def kill_the_worker():
        me = psutil.Process()
        workers = []
        while not workers:
            workers = [c for c in me.children(recursive=True) if c.name() == "ssm-bench run"]
            time.sleep(0.05)
        workers[0].kill()

    thread = threading.Thread(target=kill_the_worker)
    thread.start()
    [(outcome, reason)] = outcomes(perform_all(tmp_path, [planned["nap", 0]], isolation="fresh"))
    thread.join()

    assert outcome == "killed"
    assert "SIGKILL" in reason


def test_a_record_says_what_handed_out_memory_and_how_threads_waited(unlimited):
    machine = unlimited[1]["none", 0].record.machine

    assert machine["allocator"] == expected()
    assert machine["waiting"] == (waiting() or f"GOMP_SPINCOUNT={SPINS}")
