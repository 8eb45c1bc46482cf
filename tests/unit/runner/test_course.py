"""The loop begins what is ready while there is room, in order, and records come as runs end."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from harness.core.config import Limits, Protocol
from harness.core.messages import Progress, Result
from harness.results.leases import Leases
from harness.results.store import Store
from harness.runner import course as loop
from harness.runner import sweep as module
from harness.runner.executors import Executor
from harness.runner.sweep import Sweep, perform
from tests.unit.report.made_records import planned, scored


class Several(Executor):
    """Has room for some jobs at once, and ends them in an order of its own."""

    def __init__(self, room, order):
        self.room, self.order = room, order
        self.running, self.said, self.cancelled = {}, [], []

    def open(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cancelled = list(self.running)

    def has_room(self, job):
        return len(self.running) < self.room

    def submit(self, job):
        self.running[job.planned.spec.run_id] = job
        self.said.append(("begin", label(job.planned)))

    def events(self):
        while self.running:
            for run_id in list(self.running):
                yield run_id, Progress(step=1, steps=2)
            name = list(self.running)[self.order(len(self.running))]
            self.ended = self.running.pop(name)
            self.said.append(("end", label(self.ended.planned)))
            yield name, None

    def collect(self, run_id):
        assert run_id == self.ended.planned.spec.run_id
        if self.ended.planned.learns:
            return Result(outcome="ok", learned=scored(0.5).learned)
        return Result(outcome="skipped", reason="As told.")

    def cancel(self, run_id):
        raise AssertionError("nobody asked")


def label(run):
    return f"{run.task} {run.length or run.spec.seed}"


@pytest.fixture(autouse=True)
def no_instrument(monkeypatch):
    monkeypatch.setattr(loop, "selftest", dict)


def use(monkeypatch, room, order=lambda count: 0):
    executor = Several(room, order)
    monkeypatch.setattr(module, "load_executor", lambda name: executor)
    return executor


def training(seed, **fields):
    run = planned("synthetic/shift")
    spec = replace(run.spec, seed=seed, protocol=Protocol())
    return structs.replace(run, spec=spec, **fields)


def rung(length, ladder):
    run = planned(f"scaling/forward[length={length}]", ladder=ladder, length=length, learns=False)
    return structs.replace(run, spec=replace(run.spec, seed=len(ladder)))


def test_a_longer_rung_waits_for_the_shorter_one_of_its_ladder_and_for_no_other(
    tmp_path, monkeypatch
):
    executor = use(monkeypatch, 3)
    runs = [rung(length, ladder) for ladder in ("a", "bb") for length in (64, 128)]

    list(perform(Sweep(runs=(), results=str(tmp_path)), runs))

    begun = [name for what, name in executor.said if what == "begin"]
    first = executor.said[:2]
    assert {what for what, _ in first} == {"begin"}, "both ladders are climbed at once"
    assert [name.split()[-1] for _, name in first] == ["64", "64"]
    assert len(begun) == 4


def test_a_run_waits_for_its_trials(tmp_path, monkeypatch):
    executor = use(monkeypatch, 4)
    trials = [training(seed, point={"lr_scale": float(seed)}) for seed in (1, 2)]
    last = training(0, trials=[trial.spec.run_id for trial in trials])

    records = list(perform(Sweep(runs=(), results=str(tmp_path)), [*trials, last]))

    assert [what for what, _ in executor.said] == ["begin", "begin", "end", "end", "begin", "end"]
    assert records[-1].swept is not None


@given(room=st.integers(1, 5), count=st.integers(1, 8), order=st.randoms(use_true_random=False))
def test_whatever_ends_first_every_run_has_its_record_once_and_nobody_is_told_twice(
    tmp_path_factory, room, count, order
):
    folder, told = tmp_path_factory.mktemp("course"), []
    runs = [training(seed) for seed in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        executor = use(patch, room, order.randrange)
        records = list(perform(Sweep(runs=(), results=str(folder)), runs, told.append))

    most, going = 0, 0
    for what, _ in executor.said:
        going += 1 if what == "begin" else -1
        most = max(most, going)
    assert most == min(room, count)
    assert [f"{each.task} {each.spec.seed}" for each in records] == [
        name for what, name in executor.said if what == "end"
    ]
    assert sorted(record.spec.seed for record in records) == list(range(count))
    ends = [update for update in told if update.record]
    assert [update.number for update in ends] == list(range(1, count + 1))
    assert len(Store(folder).records()) == count


def test_what_another_sweep_does_is_put_off_and_its_record_taken_when_it_comes(
    tmp_path, monkeypatch
):
    executor = use(monkeypatch, 1)
    first, second = training(0), training(1)
    theirs = Leases(tmp_path)
    theirs.take(first.spec.run_id)
    waits = []

    def finish(seconds):
        """Let the other sweep store its record, of a failure, and end."""
        waits.append(seconds)
        result = Result(outcome="failed", reason="There.")
        record = loop.recorded(first, result, Limits(), {}, "")
        Store(tmp_path).append(record)
        theirs.__exit__(None, None, None)

    monkeypatch.setattr(loop, "sleep", finish)
    told = []
    records = list(perform(Sweep(runs=(), results=str(tmp_path)), [first, second], told.append))

    assert [record.spec.seed for record in records] == [1, 0]
    assert records[1].reason == "There."
    assert [name for what, name in executor.said if what == "begin"] == ["synthetic/shift 1"]
    assert len(waits) == 1
    assert [update.elsewhere.startswith("process ") for update in told].count(True) == 1
    assert told[-1].stored


def test_a_loop_that_is_left_leaves_no_lease(tmp_path, monkeypatch):
    executor = use(monkeypatch, 2)
    runs = perform(Sweep(runs=(), results=str(tmp_path)), [training(seed) for seed in range(3)])
    next(runs)
    runs.close()

    assert len(executor.cancelled) == 1
    assert not [path for path in (tmp_path / ".leases").iterdir() if len(path.name) == 16]
