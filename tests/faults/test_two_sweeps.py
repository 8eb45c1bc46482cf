"""Two sweeps over one folder share its runs, and a sweep that was killed is followed."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from harness.results.store import Store

TASK = "synthetic/shift[length=16,shifts=2]"
QUICK = "steps=2,batch=2,width=4,depth=1,evaluations=1"
NAP = str(Path(__file__).parent / "faulty.py")


def sweep(folder, *words):
    """Start a sweep, of tiny runs unless told otherwise."""
    command = [sys.executable, "-P", "-m", "harness.cli", "run", TASK, "--json"]
    command += ["--results", str(folder), "--protocol", QUICK, "--plugin", NAP, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(folder):
    """Return the names of the runs that have a line, as often as they have one."""
    return Counter(
        json.loads(line)["run_id"]
        for path in folder.rglob("*.jsonl")
        for line in path.read_text().splitlines()
    )


def test_two_sweeps_over_one_folder_do_each_run_once_and_both_have_all_records(tmp_path):
    words = ("-m", "chance", "--seeds", "6")
    with ExitStack() as stack:
        both = [stack.enter_context(sweep(tmp_path, *words)) for _ in range(2)]
        said = [each.communicate(timeout=200) for each in both]

    assert [each.returncode for each in both] == [0, 0], said
    assert len(lines(tmp_path)) == 6
    assert set(lines(tmp_path).values()) == {1}
    for output, _ in said:
        records = [json.loads(line) for line in output.splitlines()]
        assert {record["run_id"] for record in records} == set(lines(tmp_path))
        assert {record["outcome"] for record in records} == {"ok"}
    made = [line for _, text in said for line in text.splitlines() if re.match(r"\d/6 ok ", line)]
    assert len(made) == 6, "what one has made the other has found"


def begun(folder, each, deadline_s=120):
    """Wait until a sweep has a lease of a run and a child that does it."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end and each.poll() is None:
        leases = [path for path in folder.glob(".leases/*") if len(path.name) == 16]
        for child in psutil.Process(each.pid).children(recursive=True):
            if leases and child.name() == "ssm-bench run":
                return [path.name for path in leases]
        time.sleep(0.1)
    raise AssertionError(f"it did not get going: {each.communicate()}")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_sweep_that_is_ended_leaves_no_lease_that_keeps_another_from_its_run(tmp_path, signum):
    with sweep(tmp_path, "-m", "faulty[fault=nap]") as first:
        [run_id] = begun(tmp_path, first)
        first.send_signal(signum)
        first.wait(60)
        left = (tmp_path / ".leases" / run_id).exists()
        assert left == (signum == signal.SIGKILL)

    with sweep(tmp_path, "-m", "faulty[fault=nap]") as second:
        try:
            assert begun(tmp_path, second) == [run_id]
        finally:
            second.terminate()
            second.communicate(timeout=60)
    assert Store(tmp_path).records() == []
