"""A record says what code and conditions it comes from, wherever it was made."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness.core.config import Limits, Protocol, RunSpec
from harness.measure import control_group
from harness.measure.machine import code, python
from harness.runner.executors.local import LocalExecutor
from harness.runner.sweep import Sweep, perform, plan
from tests.unit.report.made_records import planned

MEMORY = Path("/sys/fs/cgroup/memory")
FAULTY = str(Path(__file__).parent / "faulty.py")
TINY = Protocol(steps=2, batch=2, width=4, depth=1, evaluations=1)
TASK = "synthetic/shift[length=16,shifts=2]"
SEES = '''"""Says in its path what it computed in."""
from dataclasses import dataclass

import torch
from torch import nn

from harness.api import Mixer, Model


class Layer(Mixer):
    seen = ""

    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, u, lengths=None):
        y = self.linear(u)
        self.seen = str(y.dtype)
        return y

    def path(self):
        return self.seen


@dataclass(frozen=True, kw_only=True)
class Sees(Model):
    def build(self, *, width, length, causal):
        return Layer(width)
'''


def only(sweep: Sweep):
    """Do a sweep of one run and return its record."""
    [record] = perform(sweep, plan(sweep).runs)
    return record


def test_a_folder_full_of_other_code_changes_nothing(tmp_path, monkeypatch):
    for name in ("harness", "suites", "baselines"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('another checkout')")
    for name in ("statistics.py", "json.py", "torch.py"):
        (tmp_path / name).write_text("raise RuntimeError('a file of the user')")
    monkeypatch.chdir(tmp_path)
    runs = (RunSpec(task=TASK, model="chance", protocol=TINY),)

    record = only(Sweep(runs=runs, results=str(tmp_path / "results")))

    assert record.outcome == "ok", record.reason


def test_a_record_names_the_commit_of_the_code_that_ran(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    runs = (RunSpec(task=TASK, model="chance", protocol=TINY),)

    record = only(Sweep(runs=runs, results=str(tmp_path)))

    assert record.machine["commit"] == code()["commit"]


@pytest.mark.parametrize(
    ("precision", "outcome", "path"),
    [
        ("32-true", "ok", "torch.float32"),
        ("bf16-mixed", "ok", "torch.bfloat16"),
        ("64-true", "skipped", ""),
    ],
)
def test_a_measured_task_runs_in_the_protocols_precision_or_refuses(
    tmp_path, precision, outcome, path
):
    plugin = tmp_path / "sees.py"
    plugin.write_text(SEES)
    protocol = Protocol(batch=1, width=4, depth=1, precision=precision, budget_s=1)
    run = RunSpec(task="scaling/forward[length=1024]", model="sees", protocol=protocol)

    record = only(Sweep(runs=(run,), results=str(tmp_path / "out"), plugins=(str(plugin),)))

    assert (record.outcome, record.path) == (outcome, path), record.reason


@pytest.mark.skipif(not os.access(MEMORY, os.W_OK), reason="needs control groups that it may make")
def test_what_a_control_group_forbids_is_out_of_memory_and_stands(tmp_path):
    """It was killed, and started and killed again at each resume."""
    group = MEMORY / f"ssm-bench-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text("1000000000")
        words = ["run", TASK, "-m", "faulty[fault=hog]", "--plugin", FAULTY, "--json"]
        words += ["--protocol", "steps=2,batch=2,width=4,depth=1", "--results", str(tmp_path)]
        code = (
            f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
            "import sys; from harness.cli import main; sys.argv = ['ssm-bench', *sys.argv[1:]]\n"
            "main()"
        )
        first, second = (
            subprocess.run(python("-c", code, *words), capture_output=True, check=False)
            for _ in range(2)
        )
        record = json.loads(first.stdout)
        assert record["outcome"] == "out-of-memory", record["reason"]
        assert 0 < record["limits"]["memory_bytes"] < 1_000_000_000
        assert record["machine"]["ram_bytes"] == 1_000_000_000 // 4096 * 4096
        assert json.loads(second.stdout)["started"] == record["started"]
    finally:
        group.rmdir()


def test_a_limit_that_is_asked_for_counts_if_it_is_stricter_than_the_groups(monkeypatch):
    monkeypatch.setattr(control_group, "memory_bytes", lambda: 1e9)

    def bound(memory_bytes):
        return LocalExecutor().limits(planned(), Limits(memory_bytes=memory_bytes)).memory_bytes

    assert bound(10**8) == 10**8
    assert bound(10**10) < 10**9
    assert bound(0) < 10**9
