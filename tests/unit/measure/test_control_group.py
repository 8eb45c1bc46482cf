"""The limits of control groups count, in both versions of them and wherever they are mounted."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.measure import control_group

V1 = Path("/sys/fs/cgroup/cpu")


def system(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Version 2: a job in a slice, each with limits of its own."""
    return system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/slice/job\n",
            "proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/slice/job/cpu.stat": "usage_usec 5\nthrottled_usec 2500000\n",
            "sys/fs/cgroup/slice/job/memory.max": "2000000000\n",
            "sys/fs/cgroup/slice/job/memory.current": "700000000\n",
            "sys/fs/cgroup/slice/job/memory.stat": "anon 1\ninactive_file 200000000\n",
            "sys/fs/cgroup/slice/job/memory.events": "oom 3\noom_kill 2\n",
            "sys/fs/cgroup/slice/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/slice/memory.max": "max\n",
        },
    )


def test_the_strictest_group_of_version_2_counts(second: Path) -> None:
    assert control_group.processors(second) == 1.5
    assert control_group.memory_bytes(second) == 2e9
    assert control_group.available_bytes(second) == 1.5e9
    assert control_group.throttled_s(second) == 2.5
    assert control_group.killed(second) == 2


@pytest.mark.parametrize("root", ["/", "/docker/abc"], ids=["host", "container"])
def test_version_1_is_read_from_inside_a_container_too(tmp_path: Path, root: str) -> None:
    inside = "" if root != "/" else "docker/abc/"
    found = system(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
            "proc/self/mountinfo": (
                f"31 30 0:27 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                f"32 30 0:28 {root} /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
            ),
            f"sys/fs/cgroup/memory/{inside}memory.limit_in_bytes": "1000000000\n",
            f"sys/fs/cgroup/memory/{inside}memory.usage_in_bytes": "400000000\n",
            f"sys/fs/cgroup/memory/{inside}memory.stat": "total_inactive_file 100000000\n",
            f"sys/fs/cgroup/memory/{inside}memory.oom_control": "under_oom 0\noom_kill 1\n",
            f"sys/fs/cgroup/cpu/{inside}cpu.cfs_quota_us": "100000\n",
            f"sys/fs/cgroup/cpu/{inside}cpu.cfs_period_us": "100000\n",
            f"sys/fs/cgroup/cpu/{inside}cpu.stat": "throttled_time 500000000\n",
        },
    )

    assert control_group.processors(found) == 1
    assert control_group.memory_bytes(found) == 1e9
    assert control_group.available_bytes(found) == 0.7e9
    assert control_group.throttled_s(found) == 0.5
    assert control_group.killed(found) == 1


@pytest.mark.parametrize("limit", ["max", str(2**63 - 4096)], ids=["v2", "v1"])
def test_a_group_without_limits_allows_everything(second: Path, limit: str) -> None:
    for name in ("slice/job/memory.max", "slice/memory.max"):
        (second / "sys/fs/cgroup" / name).write_text(limit)
    (second / "sys/fs/cgroup/slice/cpu.max").write_text("max 100000")

    assert control_group.processors(second) == math.inf
    assert control_group.memory_bytes(second) == math.inf
    assert control_group.available_bytes(second) == math.inf


def test_without_control_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert control_group.processors(tmp_path) == math.inf
    assert control_group.available_bytes(tmp_path) == math.inf
    assert control_group.throttled_s(tmp_path) == 0
    assert control_group.killed(tmp_path) == 0


@pytest.mark.skipif(not os.access(V1, os.W_OK), reason="needs control groups that it may make")
def test_a_real_quota_of_one_core_gives_one_thread() -> None:
    group = V1 / f"ssm-bench-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_quota_us").write_text("100000")
        code = (
            f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
            "from harness.measure.machine import cores, pinned_environment\n"
            "print(cores(), pinned_environment()['OMP_NUM_THREADS'])"
        )
        unpinned = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=unpinned
        )
        assert done.stdout.split() == ["1", "1"]
    finally:
        group.rmdir()
