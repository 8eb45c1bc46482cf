"""A sweep does what is planned and not stored, one run after the other."""

import pytest

import harness
from harness.core.config import Limits
from harness.core.errors import SpecError
from harness.core.messages import Plan, Result
from harness.core.record import Measured, Memory
from harness.results.store import Store
from harness.runner import sweep as module
from harness.runner.executors import load_executor
from harness.runner.sweep import Sweep, perform
from tests.unit.report.made_records import planned
from tests.unit.runner.one_by_one import OneByOne


class Instead(OneByOne):
    """Executes nothing: a call takes a millisecond for every 1,024 positions."""

    def __init__(self):
        super().__init__()
        self.done = []

    def execute(self, job, on_progress):
        """Measure as if."""
        length = job.planned.length
        self.done.append(length)
        found = Measured(
            length=length,
            batch=1,
            tokens=length,
            call_s=[length / 1024e3] * 5,
            first_call_s=length / 1024e3,
            precision=0.01,
            flops=length,
            spent_s=1.0,
        )
        memory = Memory(peak_bytes=2**20, delta_bytes=1024 * length, method="none")
        return Result(outcome="ok", measured=found, memory=memory)


@pytest.fixture
def executor(monkeypatch):
    """Execute nothing, and say what would have been."""
    instead = Instead()
    monkeypatch.setattr(module, "load_executor", lambda name: instead)
    return instead


def rung(length, **fields):
    return planned(
        f"scaling/forward[length={length}]", ladder="scaling/forward s4d", length=length, **fields
    )


def test_what_a_model_cannot_do_is_recorded_and_not_tried(tmp_path, executor):
    run = planned(skip="It has no step mode.")

    [record] = perform(Sweep(runs=(), results=str(tmp_path)), [run])

    assert (record.outcome, record.reason) == ("skipped", "It has no step mode.")
    assert Store(tmp_path).records() == [record]
    assert executor.done == []


def test_a_length_that_is_predicted_to_need_too_much_is_not_run_nor_is_a_longer_one(
    tmp_path, executor
):
    ladder = [rung(1024 * 2**power) for power in range(6)]
    sweep = Sweep(runs=(), results=str(tmp_path), limits=Limits(memory_bytes=10 * 2**20))

    records = list(perform(sweep, ladder))

    assert executor.done == [1024, 2048, 4096, 8192]
    assert [record.outcome for record in records] == ["ok"] * 4 + ["not-run"] * 2
    assert records[4].prediction["bytes"] > 10 * 2**20
    assert "Predicted to need" in records[4].reason
    assert "A shorter length of this ladder was the last" in records[5].reason


def test_an_executor_that_nobody_has_is_told_with_the_near_miss():
    with pytest.raises(SpecError, match="Did you mean 'local'"):
        load_executor("locl")


def test_the_python_face_does_runs_once_and_returns_their_records(tmp_path):
    def run(*, again=False):
        asked = "synthetic/shift[length=16]", "chance"
        return harness.run(*asked, results=str(tmp_path), again=again)

    [first] = run()

    assert first.outcome == "ok"
    assert run() == [first]
    assert run(again=True)[0].ended > first.ended
    assert list(harness.read_records(tmp_path)["outcome"]) == ["ok"]


def test_the_python_face_refuses_what_cannot_be_planned(monkeypatch):
    monkeypatch.setattr(module, "plan", lambda sweep: Plan(problems=["s4d cannot be imported."]))

    with pytest.raises(SpecError, match=r"s4d cannot be imported\."):
        harness.run(["synthetic/shift"], ["s4d"])


def test_a_planning_that_crashes_is_no_users_mistake(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", "/bin/false")

    with pytest.raises(RuntimeError, match="Planning failed"):
        module.plan(Sweep(runs=(), results=str(tmp_path)))
