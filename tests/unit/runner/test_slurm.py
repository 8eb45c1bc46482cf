"""Slurm's executor, with submitit's own scheduler on this machine in Slurm's place."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from harness.core.config import Limits, RunSpec
from harness.core.errors import SpecError
from harness.core.messages import Job, PlanRequest, Progress
from harness.runner import planner, sweep
from harness.runner.executors import load_executor
from harness.runner.executors import slurm as slurm_executor
from harness.runner.executors.slurm import SlurmExecutor
from harness.runner.executors.slurm_pool import AGAIN, Running, SlurmPool
from tests.unit.runner import children

pytest.importorskip("submitit", reason="needs submitit, of the extra `slurm`")

TASK = "synthetic/shift[length=16,shifts=2]"
QUICK = {"steps": 2, "batch": 2, "width": 4, "depth": 1, "evaluations": 1}
FAULTY = str(Path(__file__).parents[2] / "faults" / "faulty.py")


def local(tmp_path, **options):
    return SlurmExecutor(cluster="local", folder=str(tmp_path / "shared"), **options)


def test_a_sweep_has_every_record_once_and_leaves_nothing_in_the_folder(tmp_path):
    asked = sweep.Sweep(
        runs=sweep.requests([TASK], ["faulty", "faulty[fault=kill]"], plugins=(FAULTY,))
        + sweep.requests([TASK], ["chance"], seeds=range(2)),
        results=str(tmp_path / "records"),
        plugins=(FAULTY,),
        executor=f"slurm[cluster=local,array=2,folder={tmp_path / 'shared'}]",
        changes=QUICK,
    )
    told = []
    records = list(sweep.perform(asked, sweep.plan(asked).runs, told.append))

    text = [path.read_text() for path in (tmp_path / "records").rglob("*.jsonl")]
    lines = [json.loads(line) for each in text for line in each.splitlines()]
    assert Counter(line["run_id"] for line in lines) == {each.run_id: 1 for each in records}
    outcomes = {str(record.model): record.outcome for record in records}
    assert len(records) == 4
    assert outcomes == {"faulty": "ok", "faulty[fault=kill]": "killed", "chance": "ok"}
    assert any(update.progress and update.progress.step for update in told)
    assert list((tmp_path / "shared").iterdir()) == []


def nap(tmp_path):
    run = RunSpec(task=TASK, model="faulty[fault=nap]")
    plan = planner.planned(PlanRequest(runs=[run], plugins=[FAULTY], changes=QUICK))
    return Job(planned=plan.runs[0], plugins=[FAULTY], limits=Limits())


def begun(pool, before=(), deadline_s=100):
    """Listen until a worker is there that was not there before, and return it."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if new := [each for each in children.workers() if each not in before]:
            return new[0]
        pool._hand_over()
        time.sleep(0.2)
    raise AssertionError("nothing was started")


def job_of(worker):
    """Return the process of the job that does a run, which the scheduler would signal."""
    for parent in worker.parents():
        if "submitit.core._submit" in parent.cmdline():
            return parent.pid
    raise AssertionError(f"no job has {worker}")


def test_a_sweep_that_is_left_leaves_no_process(tmp_path):
    with local(tmp_path).open() as pool:
        pool.submit(nap(tmp_path))
        begun(pool)

    end = time.monotonic() + 60  # a busy machine takes its time
    while children.workers() and time.monotonic() < end:
        time.sleep(0.1)
    assert children.workers() == []


@pytest.mark.parametrize(
    ("sent", "given", "outcome"),
    [(signal.SIGUSR2, "10min", "timed-out"), (signal.SIGKILL, "1h", "killed")],
)
def test_what_the_scheduler_ends_is_an_outcome(tmp_path, sent, given, outcome):
    """Submitit's own scheduler counts a signal in the last ten minutes as the end of the time."""
    job = nap(tmp_path)
    with local(tmp_path, time=given).open() as pool:
        pool.submit(job)
        os.kill(job_of(begun(pool)), sent)

        assert list(pool.events())[-1] == (job.planned.spec.run_id, None)
        result = pool.collect(job.planned.spec.run_id)

    assert result.outcome == outcome
    assert f"which gave it {given}" in result.reason


def test_what_is_preempted_is_done_again(tmp_path):
    with local(tmp_path, time="2h").open() as pool:
        pool.submit(nap(tmp_path))
        first = begun(pool)
        os.kill(job_of(first), signal.SIGUSR2)

        first.wait(30)
        assert begun(pool, [first]).is_running()


class Scheduled:
    """A job as submitit knows it, in a state of Slurm's."""

    def __init__(self, state):
        self.state = state

    def result(self):
        raise RuntimeError("has not produced any output")


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("TIMEOUT", "timed-out"),
        ("OUT_OF_MEMORY", "out-of-memory"),
        ("CANCELLED by 1000", "killed"),
        ("FAILED", "killed"),
    ],
)
def test_a_state_of_slurms_is_an_outcome(tmp_path, state, outcome):
    running = Running(learns=True, parcel=b"", folder=tmp_path, submitted=Scheduled(state))

    assert SlurmPool(local(tmp_path))._result(running).outcome == outcome


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED"])
def test_what_slurm_ends_for_its_own_reasons_is_done_again_but_not_for_ever(tmp_path, state):
    pool = SlurmPool(local(tmp_path))
    running = Running(learns=True, parcel=b"", folder=tmp_path)
    for lost in range(AGAIN):
        running.submitted = Scheduled(state)
        assert pool._result(running) is None
        assert running.submitted is None, "the next array has it"
        assert running.said.name == f"said-{lost + 1}"

    running.submitted = Scheduled(state)
    assert pool._result(running).outcome == "killed"


def test_arrays_are_filled_before_they_are_handed_over(tmp_path):
    pool = SlurmPool(local(tmp_path, array=3))
    counts = []
    for ended in (False, True):
        while pool.running and ended and not pool.has_room(None):
            pool.running.popitem()
        counts.append(len(pool.running))
        while pool.has_room(None):
            pool.running[str(len(pool.running))] = None
        counts.append(len(pool.running))

    assert counts == [0, 6, 3, 6]


def test_a_line_that_is_cut_is_read_once_it_is_whole(tmp_path):
    pool, running = SlurmPool(local(tmp_path)), Running(learns=True, parcel=b"", folder=tmp_path)
    line = b'{"type":"Progress","step":1,"steps":2}\n'
    heard = []
    for part in (line[:9], line[9:] + line[:5], line[5:]):
        with running.said.open("ab") as file:
            file.write(part)
        heard.append(list(pool._heard(running)))

    assert heard == [[], [Progress(step=1, steps=2)], [Progress(step=1, steps=2)]]


def test_slurm_is_told_what_a_run_needs_and_what_is_measured_has_a_node_to_itself(tmp_path):
    asked = local(tmp_path, partition="gpu", gpus=1, time="4h", array=8, memory=1.5)

    assert asked.parameters(learns=True) == {
        "timeout_min": 240,
        "cpus_per_task": 1,
        "name": "ssm-bench",
        "slurm_array_parallelism": 8,
        "slurm_partition": "gpu",
        "gpus_per_node": 1,
        "mem_gb": 1.5,
    }
    assert asked.parameters(learns=False)["slurm_exclusive"] is True
    assert asked.limits(None, Limits()).memory_bytes == 3 << 29


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slurm[cluster=local,time=4]", "is no time; write it like 30min"),
        ("slurm[cluster=local,array=0]", "an array a run or more"),
        ("slurm[cluster=local,partitions=gpu]", "Did you mean 'partition'"),
        ("slurm[cluster=here]", "value of 'slurm'"),
    ],
)
def test_options_that_are_wrong_are_told_in_a_sentence(text, said):
    with pytest.raises(SpecError, match=said):
        load_executor(text)


def test_without_slurm_or_submitit_a_sentence_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SpecError, match="There is no 'sbatch' here"):
        load_executor("slurm[partition=gpu,gpus=1,time=4h,array=32]")

    monkeypatch.setattr(slurm_executor, "PACKAGE", "no_such_submitit")
    with pytest.raises(SpecError, match=r"install ssm-bench\[slurm\]"):
        load_executor("slurm")


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path):
    (tmp_path / "shared").write_text("a file")

    with pytest.raises(SpecError, match="name a folder that all nodes share"):
        local(tmp_path).open().__enter__()


def test_the_doctor_says_whether_slurm_can_be_used(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    there, said = slurm_executor.fact()
    assert not there
    assert said.endswith("for --executor slurm, but no sbatch here")

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/sbatch")
    assert slurm_executor.fact()[0]
