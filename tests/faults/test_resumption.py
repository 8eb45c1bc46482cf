"""A run that is killed with -9 goes on when its command is given again, as if nothing had been."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.results.store import Store

TASK = "synthetic/shift[length=16,shifts=2]"
STEPS = 600


def command(folder, *more, protocol=f"steps={STEPS},batch=2,width=4,depth=1,dropout=0.2"):
    words = [sys.executable, "-P", "-m", "harness.cli", "run", TASK, "-m", "gru"]
    words += ["--results", str(folder), "--protocol", protocol, "--checkpoint", "0.05s", *more]
    return words


def finished(folder, *more, **changes):
    """Give the command, and return the record and what it said."""
    words = command(folder, *more, **changes)
    done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
    [record] = Store(folder).records()
    return record, done.stdout + done.stderr


def kill(folder, step, whom, isolation):
    """Give the command, and kill its worker or all of it once a checkpoint is of such a step."""
    words = command(folder, "--isolation", isolation)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as sweep:
        while sweep.poll() is None and reached(folder) < step:
            time.sleep(0.005)
        children = psutil.Process(sweep.pid).children(recursive=True)
        if whom == "all":
            os.killpg(sweep.pid, signal.SIGKILL)
        for child in children:
            if child.name() == "ssm-bench run":
                child.kill()
        sweep.communicate(timeout=100)


def reached(folder):
    names = [path.name for path in Path(folder).glob(".checkpoints/*/*/*.pt")]
    return max((int(name.partition("-")[0]) for name in names), default=0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    record, said = finished(tmp_path_factory.mktemp("whole"))
    assert record.outcome == "ok", said
    return record


def same(record, whole):
    for name in ("curve", "validation", "scores", "score", "interval", "steps"):
        assert getattr(record.learned, name) == getattr(whole.learned, name), name


@settings(max_examples=2, phases=[Phase.generate])
@given(step=st.integers(1, STEPS // 3), whom=st.sampled_from(["worker", "all"]))
def test_its_curve_and_its_scores_are_the_uninterrupted_ones(whole, step, whom):
    with tempfile.TemporaryDirectory() as folder:
        kill(folder, step, whom, "fresh")
        assert [each.outcome for each in Store(folder).records()] in ([], ["killed"])
        record, said = finished(folder)

        assert (record.outcome, record.learned.resumed) == ("ok", 1)
        assert "Goes on after step" in said
        assert record.run_id == whole.run_id
        assert not any(Path(folder, ".checkpoints").iterdir())
    same(record, whole)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
def test_if_its_process_was_forked_it_goes_on_at_once_in_one_that_was_not(whole, tmp_path):
    kill(tmp_path, STEPS // 3, "worker", "warm")

    [record] = Store(tmp_path).records()
    assert (record.outcome, record.learned.resumed) == ("ok", 1)
    assert record.machine["isolation"] == "fresh"
    assert record.machine["warm"].startswith("killed: The process was ended by SIGKILL")
    same(record, whole)


@pytest.mark.slow
def test_a_run_that_ran_out_of_time_goes_on_with_more(tmp_path):
    protocol, limit = f"steps={1000 * STEPS},batch=2,width=4,depth=1,dropout=0.2", 10
    while not reached(tmp_path):  # a busy machine takes long to start
        limit *= 2
        stopped, said = finished(tmp_path, "--timeout", str(limit), protocol=protocol)
        assert stopped.outcome == "timed-out", said
    before = reached(tmp_path)

    again, said = finished(tmp_path, "--timeout", str(2 * limit), protocol=protocol)

    assert again.outcome == "timed-out"
    assert "Goes on after step" in said
    assert reached(tmp_path) > before
