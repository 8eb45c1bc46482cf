"""A process that was forked does a run as one that was started anew would, and starts sooner."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from msgspec import structs

from harness.core.config import Limits, Protocol
from harness.core.messages import Job
from harness.measure import machine
from harness.runner.executors.local import LocalExecutor
from harness.runner.forked import Warm
from harness.runner.sweep import Sweep, perform, plan, requests
from harness.runner.warm import Server
from tests.unit.report.made_records import planned

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
PLUGIN = str(Path(__file__).parents[2] / "faults" / "forked.py")
TASK = "synthetic/shift[length=16,shifts=2]"
SHORT = {"steps": 20, "batch": 8, "width": 16, "depth": 1, "evaluations": 2, "dropout": 0.1}
TINY = {**SHORT, "steps": 1}
DEEDS = {
    "fail": "failed: ValueError in ",
    "kill": "killed: The process was ended by SIGKILL",
    "exit": "failed: The process ended with code 3",
    "orphan": "killed: The process was ended by SIGKILL",
}
"""What is said of each deed."""


def requested(*models, tasks=(TASK,), seeds=1):
    return requests(tasks, models, seeds=range(seeds), plugins=(PLUGIN,))


def done(folder, runs, isolation="warm", changes=SHORT):
    """Make a sweep, and return its records."""
    sweep = Sweep(
        runs=runs,
        results=str(folder),
        plugins=(PLUGIN,),
        executor=f"local[isolation={isolation}]",
        changes=changes,
    )
    return list(perform(sweep, plan(sweep).runs))


def left():
    """Return the processes of runs that this one has started and not ended."""
    children = psutil.Process().children(recursive=True)
    return [each for each in children if each.is_running() and is_of_a_run(each)]


def is_of_a_run(process):
    """Say so, as not of those that tests of other files before this one left to Python's pools."""
    return any("harness.runner" in word for word in process.cmdline())


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Train models in both ways; returns their records by the way."""
    folder = tmp_path_factory.mktemp("both")
    return {
        isolation: done(folder / isolation, requested("s4d", "gru", "transformer"), isolation)
        for isolation in ("warm", "fresh")
    }


def test_a_training_is_the_same_to_the_bit_in_either_process(both):
    for warm, fresh in zip(both["warm"], both["fresh"], strict=True):
        assert (warm.outcome, fresh.outcome) == ("ok", "ok"), warm.reason
        assert (warm.machine["isolation"], fresh.machine["isolation"]) == ("warm", "fresh")
        for name in ("curve", "validation", "scores", "score", "interval", "per_example"):
            assert getattr(warm.learned, name) == getattr(fresh.learned, name), name
        assert warm.place == f"{fresh.place.partition(', allocator')[0]}, forked" + (
            fresh.place.removeprefix(fresh.place.partition(", allocator")[0])
        ), "their times are not compared"
        assert (warm.parameters, warm.state_bytes, warm.path) == (
            fresh.parameters,
            fresh.state_bytes,
            fresh.path,
        )
        for name in ("threads", "allocator", "waiting", "remote"):
            assert warm.machine[name] == fresh.machine[name]


def test_a_forked_process_weighs_what_another_does(both):
    for warm, fresh in zip(both["warm"], both["fresh"], strict=True):
        assert warm.memory.peak_bytes == pytest.approx(fresh.memory.peak_bytes, abs=12e6)
        assert warm.memory.delta_bytes == pytest.approx(fresh.memory.delta_bytes, abs=2e6)


def test_nothing_is_left_when_a_sweep_is_over(both):
    assert left() == []


@pytest.fixture(scope="module")
def misled(tmp_path_factory):
    """Do what misbehaves where it is forked, then what does not; returns records by their model."""
    runs = requested(*(f"forked[deed={deed}]" for deed in DEEDS), "chance")
    runs += requested("forked", seeds=3)
    found = defaultdict(list)
    for record in done(tmp_path_factory.mktemp("misled"), runs, changes=TINY):
        found[str(record.model)].append(record)
    return found


@pytest.mark.parametrize("deed", DEEDS)
def test_what_fails_only_where_it_was_forked_is_done_anew(misled, deed):
    [record] = misled[f"forked[deed={deed}]"]

    assert (record.outcome, record.machine["isolation"]) == ("ok", "fresh")
    assert record.machine["warm"].startswith(DEEDS[deed])


def test_the_next_run_is_forked_again_though_one_killed_what_forks(misled):
    [record] = misled["chance"]

    assert (record.outcome, record.machine["isolation"]) == ("ok", "warm")


def test_runs_learn_nothing_of_one_another(misled):
    records = misled["forked"]

    assert [record.outcome for record in records] == ["ok"] * 3, records[1].reason
    assert {record.machine["isolation"] for record in records} == {"warm"}
    unseeded = [record.learned.score for record in records]
    assert len(set(unseeded)) == 3, "numpy's own stream is another in each process"


@pytest.mark.parametrize(
    ("tasks", "changes"),
    [
        (["scaling/forward[length=64]"], {"budget_s": 0.1}),
        ([TASK], {**TINY, "steps": 0, "seconds": 0.1}),
    ],
)
def test_what_is_timed_has_a_process_of_its_own(tmp_path, tasks, changes):
    [record] = done(tmp_path, requested("gru", tasks=tasks), changes=changes)

    assert record.outcome == "ok", record.reason
    assert record.machine["isolation"] == "fresh"


def test_a_training_on_several_devices_does_too():
    run = planned("synthetic/shift")
    alone = structs.replace(run, spec=replace(run.spec, protocol=Protocol()))
    shared = structs.replace(run, spec=replace(run.spec, protocol=Protocol(devices=2)))

    assert alone.scored_alone
    assert not shared.scored_alone


@pytest.fixture
def warm():
    """Return where processes come from that only say that they have begun."""
    with Warm() as found:
        yield found


def begun(warm, errors=2):
    process = warm.start(errors)
    assert process is not None
    return process


def ended(process):
    process.stdin.close()
    process.stdout.close()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(20)
    raise AssertionError("it goes on")


def test_a_process_has_the_cores_of_who_asks_and_a_session_of_its_own(warm):
    first = begun(warm)
    cores = machine.allowed()
    try:
        os.sched_setaffinity(0, {min(cores)})
        second = begun(warm)
    finally:
        os.sched_setaffinity(0, cores)

    assert psutil.Process(first.pid).cpu_affinity() == sorted(cores)
    assert psutil.Process(second.pid).cpu_affinity() == [min(cores)]
    assert os.getsid(first.pid) == first.pid != os.getsid(second.pid)
    assert ended(first) != 0
    assert ended(second) != 0


def test_how_a_process_ended_is_known_once_it_has(warm):
    process = begun(warm)

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    os.killpg(process.pid, signal.SIGKILL)

    assert process.wait(20) == -signal.SIGKILL
    assert process.wait() == process.returncode == -signal.SIGKILL
    process.stdin.close()
    process.stdout.close()


def test_if_nothing_can_be_forked_nobody_answers_and_soon_nobody_is_asked(warm, monkeypatch):
    monkeypatch.setattr(machine, "python", lambda *_: [sys.executable, "-c", "pass"])

    assert [warm.start(2) for _ in range(2)] == [None, None]
    monkeypatch.setattr(machine, "python", None)
    assert warm.start(2) is None


def test_a_process_of_several_threads_forks_nothing():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    over = threading.Event()
    with ours, theirs, ThreadPoolExecutor(1) as other:
        waits = other.submit(over.wait)
        told, tells = os.pipe()
        socket.send_fds(ours, [b"[0]"], [tells] * 4)
        os.close(tells)

        assert Server(theirs).forked() is None
        assert os.read(told, 1) == b"", "whoever asked is told at once"
        over.set()
        waits.result()
    os.close(told)


def test_whoever_waits_for_a_process_that_nobody_wants_any_more_waits_no_longer(warm):
    stop, pull = os.pipe()
    os.close(pull)
    began = time.monotonic()

    assert warm.start(2, stop) is None
    assert warm.start(2, None, 0.0) is None
    assert time.monotonic() - began < 1
    os.close(stop)


def test_what_forks_ends_with_whoever_asks(tmp_path):
    code = (
        "import sys, time\n"
        "from harness.runner.forked import Warm\n"
        "warm = Warm()\n"
        "process = warm.start(2)\n"
        "print(warm.server.pid, process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(machine.python("-c", code), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        every: list[psutil.Process] = []
        while len(every) < 4:  # the one that forks, the forked one, and who watches each
            every = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()

    assert set(pids) <= {each.pid for each in every}
    _, alive = psutil.wait_procs(every, 20)
    assert alive == []


def test_jobs_of_a_pool_share_the_one_that_forks(tmp_path):
    first, second = (
        Job(planned=run, plugins=[], limits=Limits(), results=str(tmp_path))
        for run in plan(Sweep(runs=requested("chance", "gru"), changes=TINY)).runs
    )
    with LocalExecutor().open() as pool:
        for job in (first, second):
            pool.submit(job)
            assert list(pool.events())[-1] == (job.planned.spec.run_id, None)
            children = filter(is_of_a_run, psutil.Process().children())
            assert [each.cmdline()[-1] for each in children] == ["harness.runner.warm"]
        assert pool.collect(first.planned.spec.run_id).conditions["isolation"] == "warm"
    assert left() == []
