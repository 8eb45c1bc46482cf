"""Trainings go on side by side, each on cores of its own; what is timed or weighed is alone."""

import json
import sys
import threading

import psutil
import pytest
from msgspec import structs

from harness.core.config import Limits, RunSpec
from harness.core.errors import SpecError
from harness.core.messages import Job
from harness.measure import machine
from harness.runner.executors import load_executor, process
from harness.runner.executors.local import LocalExecutor, shares
from tests.unit.report.made_records import planned

TWO = pytest.mark.skipif(machine.cores() < 2, reason="needs two cores")
CHILD = """
import json, os, sys, time
token = json.loads(sys.stdin.read())["token"]
cores = sorted(os.sched_getaffinity(0))
said = {"cores": cores, "threads": os.environ["OMP_NUM_THREADS"]}
print(token, json.dumps({"type": "Progress", "step": 0, "steps": 1, "status": json.dumps(said)}))
sys.stdout.flush()
time.sleep(SECONDS)
end = {"type": "Result", "outcome": "ok", "conditions": {"threads": len(cores)}}
print(token, json.dumps(end))
"""


@pytest.fixture
def children(monkeypatch):
    """Let children only say on which cores they are, and end after a while."""

    def last(seconds):
        code = CHILD.replace("SECONDS", str(seconds))
        monkeypatch.setattr(process, "python", lambda *_: [sys.executable, "-c", code])
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    last(0.5)
    return last


def job(number, *, learns=True):
    run = planned("synthetic/shift" if learns else "scaling/forward")
    spec = RunSpec(task=run.task, model=run.model, seed=number)
    return Job(planned=structs.replace(run, spec=spec, learns=learns), plugins=[], limits=Limits())


def name(job):
    return job.planned.spec.run_id


def done(pool, jobs):
    """Submit jobs in order as soon as there is room; return what was heard, by the jobs' places."""
    places = {name(each): place for place, each in enumerate(jobs)}
    waiting, heard = list(jobs), []

    def submit():
        for each in list(waiting):
            if pool.has_room(each):
                pool.submit(each)
                waiting.remove(each)

    submit()
    for run_id, progress in pool.events():
        heard.append((places[run_id], progress))
        submit()
    return heard


@TWO
def test_two_trainings_go_on_at_once_on_different_cores_and_a_measurement_alone(children):
    jobs = [job(0), job(1, learns=False), job(2), job(3)]
    with LocalExecutor(jobs=2, isolation="fresh").open() as pool:
        heard = done(pool, jobs)
        results = [pool.collect(name(each)) for each in jobs]

    places = [place for place, progress in heard if progress is None]
    assert sorted(places) == [0, 1, 2, 3]
    assert places[-1] == 1, "what is measured waits until all trainings are done"
    assert heard[-2][0] == 1
    assert {place for place, _ in heard[:2]} == {0, 2}, "both began before one ended"
    cores = {place: json.loads(progress.status) for place, progress in heard if progress}
    half = machine.cores() // 2
    assert not set(cores[0]["cores"]) & set(cores[2]["cores"])
    assert [len(cores[place]["cores"]) for place in (0, 2, 3)] == [half] * 3
    assert cores[0]["threads"] == str(half)
    assert set(cores[1]["cores"]) == machine.allowed()
    assert [result.conditions.get("jobs") for result in results] == [2, None, 2, 2]
    assert results[0].conditions["beside"] == results[2].conditions["beside"] == 1
    assert "beside" not in results[1].conditions


@TWO
def test_nothing_joins_what_is_measured(children):
    with LocalExecutor(jobs=2, isolation="fresh").open() as pool:
        pool.submit(job(0, learns=False))

        assert not pool.has_room(job(1))
        assert [progress is None for _, progress in pool.events()] == [False, True]
        assert pool.has_room(job(1))


def test_one_job_at_a_time_has_the_machine_as_it_is(children):
    with LocalExecutor(isolation="fresh").open() as pool:
        pool.submit(job(0))
        assert not pool.has_room(job(1))
        (_, progress), _ = pool.events()

        assert set(json.loads(progress.status)["cores"]) == machine.allowed()
        assert pool.collect(name(job(0))).conditions.keys() == {"threads", "isolation"}


@TWO
def test_a_job_that_is_cancelled_ends_and_is_told_of_and_the_other_goes_on(children):
    children(2)
    with LocalExecutor(jobs=2, isolation="fresh").open() as pool:
        pool.submit(job(0))
        pool.submit(job(1))
        events = pool.events()
        next(events), next(events)
        pool.cancel(name(job(0)))

        assert next(events) == (name(job(0)), None)
        assert pool.collect(name(job(0))).outcome == "killed"
        assert next(events) == (name(job(1)), None)
        assert pool.collect(name(job(1))).outcome == "ok"


def test_a_pool_that_is_left_leaves_no_child_and_no_thread(children):
    children(60)
    threads, children_before = set(threading.enumerate()), psutil.Process().children()
    with LocalExecutor(isolation="fresh").open() as pool:
        pool.submit(job(0))
        next(pool.events())
        assert len(psutil.Process().children()) == len(children_before) + 1

    assert psutil.Process().children() == children_before
    assert set(threading.enumerate()) == threads


def test_what_goes_wrong_before_there_is_a_child_is_raised_when_it_is_collected(monkeypatch):
    monkeypatch.setattr(process, "python", lambda *_: ["/nowhere/python"])
    with LocalExecutor(isolation="fresh").open() as pool:
        pool.submit(job(0))
        assert list(pool.events()) == [(name(job(0)), None)]

        with pytest.raises(FileNotFoundError):
            pool.collect(name(job(0)))


def test_a_share_of_the_memory_bounds_a_training_that_has_company(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 4)
    monkeypatch.setattr(machine, "ram_bytes", lambda: 40 << 30)
    four = LocalExecutor(jobs=4)

    assert four.limits(job(0).planned, Limits()).memory_bytes == 8 << 30
    assert four.limits(job(0).planned, Limits(memory_bytes=1 << 30)).memory_bytes == 1 << 30
    assert four.limits(job(0, learns=False).planned, Limits()) == Limits()
    assert LocalExecutor().limits(job(0).planned, Limits()) == Limits()


def test_shares_do_not_overlap_and_are_alike(monkeypatch):
    monkeypatch.setattr(machine, "allowed", lambda: {3, 5, 6, 7, 9})
    monkeypatch.setattr(machine, "cores", lambda: 5)

    assert shares(2) == [{3, 5}, {6, 7}]
    assert shares(5) == [{3}, {5}, {6}, {7}, {9}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("locl", "Did you mean 'local'"),
        ("local[job=2]", "Did you mean 'jobs'"),
        ("local[jobs=many]", "takes a value like '1'"),
        ("local[jobs=0]", "choose from 1 to"),
        ("local[jobs=100000]", "needs a core of its own"),
        ("local[isolation=cold]", "warm"),
        ("local[", "is not a name"),
    ],
)
def test_an_executor_or_an_option_that_is_wrong_is_told_in_a_sentence(text, said):
    with pytest.raises(SpecError, match=said.replace("[", r"\[")):
        load_executor(text)


def test_options_of_an_executor_are_written_like_a_models():
    assert load_executor("local") == LocalExecutor()
    assert load_executor("local[jobs=1]") == LocalExecutor(jobs=1)
