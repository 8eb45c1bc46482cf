"""A run that finds too little memory while memory is kept is done again with none kept."""

import pytest

from harness.core.config import Limits
from harness.core.messages import Job, Result
from harness.measure import allocator
from harness.runner.executors.local import LocalExecutor
from tests.unit.report.made_records import planned

JOB = Job(planned=planned("scaling/forward"), plugins=[], limits=Limits(memory_bytes=2**30))


@pytest.fixture
def executor(monkeypatch):
    """Return an executor whose children need more than there is, unless `fits` says otherwise."""
    monkeypatch.setattr(allocator, "allocator", lambda: allocator.GLIBC)

    def attempt(self, job, on_progress, began):
        tried.append(job.keeps_memory)
        return outcomes[job.keeps_memory]

    tried, outcomes = [], {True: Result(outcome="out-of-memory", reason="Kept too much.")}
    monkeypatch.setattr(LocalExecutor, "attempt", attempt)
    return LocalExecutor(), outcomes, tried


@pytest.mark.parametrize("outcome", ["ok", "diverged", "failed"])
def test_what_fits_once_nothing_is_kept_counts(executor, outcome):
    local, outcomes, tried = executor
    outcomes[False] = Result(outcome=outcome)

    assert local.execute(JOB, print) is outcomes[False]
    assert tried == [True, False]


@pytest.mark.parametrize("outcome", ["out-of-memory", "timed-out"])
def test_what_does_not_fit_either_way_is_told_of_once(executor, outcome):
    local, outcomes, _ = executor
    outcomes[False] = Result(outcome=outcome)

    assert local.execute(JOB, print) is outcomes[True]


def test_where_nothing_is_kept_nothing_is_tried_again(executor, monkeypatch):
    local, outcomes, tried = executor
    monkeypatch.setattr(allocator, "allocator", lambda: "unknown (ld-musl-x86_64.so.1)")

    assert local.execute(JOB, print) is outcomes[True]
    assert tried == [True]
