"""A sweep that is interrupted or killed keeps what was finished, and goes on from there."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import psutil
import pytest

from harness.results.store import Store

PLUGIN = str(Path(__file__).parent / "faulty.py")
TASK = "synthetic/shift[length=16,shifts=2]"
QUICK = "steps=3,batch=2,width=4,depth=1,evaluations=1"


def command(folder, *models):
    # A shell's background job ignores Ctrl-C, and so would all that it starts.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from harness.cli import main; main()"
    words = [sys.executable, "-c", code, "run", TASK]
    words += ["--plugin", PLUGIN, "--results", str(folder), "--protocol", QUICK]
    return words + [word for model in models for word in ("-m", model)]


@contextmanager
def started(folder, *models):
    """Start a sweep, wait until its first run is stored and the second has a worker; end both."""
    words = command(folder, *models)
    with subprocess.Popen(words, stdout=PIPE, stderr=PIPE, text=True) as sweep:
        worker = None
        try:
            worker = second_worker(sweep, folder)
            yield sweep, worker
        finally:
            sweep.kill()
            if worker is not None and worker.is_running():
                worker.kill()


def second_worker(sweep, folder):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and sweep.poll() is None:
        if Store(folder).records():
            for child in psutil.Process(sweep.pid).children(recursive=True):
                if child.name() == "ssm-bench run":
                    return child
        time.sleep(0.1)
    raise AssertionError(f"the sweep did not get going: {sweep.communicate()}")


def gone(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_finished_runs_ends_the_worker_and_says_how_to_resume(
    tmp_path, signum, code
):
    with started(tmp_path, "faulty", "faulty[fault=nap]") as (sweep, worker):
        sweep.send_signal(signum)
        _, said = sweep.communicate(timeout=60)

        assert sweep.returncode == code
        assert "1 of 2 runs are stored" in said
        assert "the same command goes on from there" in said
        assert gone(worker)


def test_a_killed_sweep_leaves_no_worker_behind_and_repeats_nothing_finished(tmp_path):
    with started(tmp_path, "faulty", "faulty[fault=nap]") as (sweep, worker):
        (first,) = Store(tmp_path).records()
        sweep.kill()
        deadline = time.monotonic() + 60
        while not gone(worker) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert gone(worker)

    again = subprocess.run(
        [*command(tmp_path, "faulty"), "--json"], capture_output=True, text=True, check=True
    )

    assert "Nothing to do: all 1 runs are stored" in again.stderr
    assert Store(tmp_path).records() == [first]
