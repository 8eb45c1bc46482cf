"""A run that finds too little memory while memory is kept is done again with none kept."""

import pytest

from harness.core.config import Limits
from harness.core.messages import Job, Result
from harness.measure import allocator
from harness.runner.executors import process
from tests.unit.report.made_records import planned

JOB = Job(planned=planned("scaling/forward"), plugins=[], limits=Limits(memory_bytes=2**30))


@pytest.fixture
def scripted(monkeypatch):
    """Let children need more than there is, unless `fits` says otherwise."""
    monkeypatch.setattr(allocator, "allocator", lambda: allocator.GLIBC)

    def attempt(job, on_progress, deadline, *, threads, stop, warm):
        tried.append(job.keeps_memory)
        return outcomes[job.keeps_memory]

    tried, outcomes = [], {True: Result(outcome="out-of-memory", reason="Kept too much.")}
    monkeypatch.setattr(process, "attempt", attempt)
    return outcomes, tried


@pytest.mark.parametrize("outcome", ["ok", "diverged", "failed"])
def test_what_fits_once_nothing_is_kept_counts(scripted, outcome):
    outcomes, tried = scripted
    outcomes[False] = Result(outcome=outcome)

    assert process.execute(JOB, print) == outcomes[False]
    assert tried == [True, False]


@pytest.mark.parametrize("outcome", ["out-of-memory", "timed-out"])
def test_what_does_not_fit_either_way_is_told_of_once(scripted, outcome):
    outcomes, _ = scripted
    outcomes[False] = Result(outcome=outcome)

    assert process.execute(JOB, print) is outcomes[True]


def test_where_nothing_is_kept_nothing_is_tried_again(scripted, monkeypatch):
    outcomes, tried = scripted
    monkeypatch.setattr(allocator, "allocator", lambda: "unknown (ld-musl-x86_64.so.1)")

    assert process.execute(JOB, print) is outcomes[True]
    assert tried == [True]
