"""What a plugin starts neither holds up a sweep, nor stays, nor speaks for its run."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.core.config import Limits, Protocol, RunSpec
from harness.runner.sweep import Sweep, perform, plan

PLUGIN = str(Path(__file__).parent / "leaving.py")
PROTOCOL = Protocol(steps=3, batch=2, width=4, depth=1, evaluations=1)
DEEDS = ("leave", "stay", "forge", "flood", "grow")
MARK = "SSM_BENCH_LEAVING"
FORKS = sys.platform == "linux"
"""Whether a run's first process was forked; one that is started anew must then say the same."""


@pytest.fixture(scope="module")
def planned():
    """Plan every run of these tests; returns them by their deeds."""
    runs = [
        RunSpec(
            task="synthetic/shift[length=16,shifts=2]",
            model=f"leaving[deed={deed}]",
            protocol=PROTOCOL,
        )
        for deed in DEEDS
    ]
    return dict(zip(DEEDS, plan(Sweep(runs=tuple(runs), plugins=(PLUGIN,))).runs, strict=True))


@pytest.fixture
def done(planned, tmp_path, monkeypatch):
    """Return what does one run, and looks whether anything of it is left."""
    monkeypatch.setenv(MARK, str(os.getpid()))

    def do(deed, **limits):
        asked = Sweep(runs=(), results=str(tmp_path), plugins=(PLUGIN,), limits=Limits(**limits))
        [record] = perform(asked, [planned[deed]])
        assert not left(), "of what the run started nothing stays"
        return record

    return do


def left():
    """Return the processes that stem from runs of these tests."""
    others = (each for each in psutil.process_iter() if each.pid != os.getpid())
    return [each for each in others if of_ours(each)]


def of_ours(process):
    try:
        return process.environ().get(MARK) == str(os.getpid())
    except psutil.Error:
        return False


def test_a_process_that_stays_holds_up_neither_a_run_that_dies_nor_one_that_ends(done):
    began = time.monotonic()

    died, ended = done("leave"), done("stay")

    assert (died.outcome, ended.outcome) == ("failed", "ok")
    assert died.reason == "The process ended with code 3.", "and nothing was closed twice"
    if FORKS:
        assert died.machine["warm"] == f"failed: {died.reason}"
        assert ended.machine["isolation"] == "warm"
    assert time.monotonic() - began < 120, "they would stay for 600 s"


def test_a_result_that_a_plugin_forges_is_passed_over(done):
    record = done("forge")

    assert (record.outcome, record.reason) == ("ok", "")
    assert record.learned is not None
    assert record.machine["isolation"] == ("warm" if FORKS else "fresh")


def test_of_a_plugin_that_says_far_too_much_the_end_is_told(done):
    record = done("flood")

    assert record.outcome == "failed"
    assert record.reason == "The process ended with code 4. Its last words: That was all."
    if FORKS:
        assert record.machine["warm"] == f"failed: {record.reason}"


def test_memory_of_all_that_a_plugin_starts_counts(done):
    record = done("grow", memory_bytes=900 << 20, timeout_s=100)

    assert record.outcome == "out-of-memory"
    assert "of 0.879 GiB allowed" in record.reason
    if FORKS:
        assert "of 0.879 GiB allowed" in record.machine["warm"]
