"""What a result was measured on: code, packages, processor, and how quiet the machine was."""

import os
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.measure import allocator, control_group

PACKAGES = ("ssm-bench", "torch", "numpy", "lightning-fabric", "xformers", "mlxtend")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
SPINS = "1000"
"""How often a thread of GNU's OpenMP, which torch's wheel brings, looks for work before it sleeps.

Its own 300,000 keep a core busy while a neighbour could use it; see docs/decisions/0019.
"""
SHARE = 0.8
"""Share of the memory of a machine, a group or a moment that runs may need."""
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""What says how OpenMP's threads wait, in the environment in which it is loaded."""


@cache
def facts() -> dict[str, Any]:
    """Return what does not change during a sweep: code, packages, processor, memory."""
    import cpuinfo  # noqa: PLC0415 - takes a second, and only a record needs it

    return {
        **code(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": cpuinfo.get_cpu_info().get("brand_raw", platform.processor()),
        "cores": cores(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", cores())),
        "allocator": allocator.expected(),
        "ram_bytes": ram_bytes(),
    }


def ram_bytes() -> int:
    """Return the memory of this machine, or of the group that it lets us have."""
    import psutil  # noqa: PLC0415 - keeps the start of the command short

    return int(min(psutil.virtual_memory().total, control_group.memory_bytes()))


def conditions() -> dict[str, float]:
    """Return how busy the machine and how disturbed this process is: compare two of them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "load": os.getloadavg()[0],
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "voluntary_switches": usage.ru_nvcsw,
        "involuntary_switches": usage.ru_nivcsw,
    }


def cores() -> int:
    """Return the cores that this process may use: by its affinity, and within a group's quota.

    Of a quota that is no whole number the rest is left out: one thread more would be made to wait.
    """
    return int(max(1, min(len(allowed()), control_group.processors())))


def allowed() -> set[int]:
    """Return the numbers of the cores that this thread, and what it starts, may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def python(*words: str) -> list[str]:
    """Return the command of a child: this Python, with no folder first on its path.

    Python puts the present folder there, where a `statistics.py` or a second checkout would be
    imported for ours.
    """
    return [sys.executable, "-P", *words]


def pinned_environment(threads: int = 0) -> dict[str, str]:
    """Return the environment of a child whose numerical libraries use some threads.

    Args:
        threads: How many, unless the environment says so; 0: one for every allowed core.

    Its threads spin only for a moment when they wait, unless the environment says how they wait.
    What it writes is UTF-8 in every locale, so no word that a plugin prints can end a run.
    """
    pins = {name: os.environ.get(name, str(threads or cores())) for name in THREADS}
    if not waiting():
        pins["GOMP_SPINCOUNT"] = SPINS
    return {**os.environ, **pins, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:replace"}


def waiting() -> str:
    """Return what the environment says of how OpenMP's threads wait."""
    return ", ".join(f"{name}={os.environ[name]}" for name in WAITING if name in os.environ)


def available_bytes() -> int:
    """Return the memory that can be given out now without swapping or leaving a group's limit."""
    import psutil  # noqa: PLC0415 - keeps the start of the command short

    return int(min(psutil.virtual_memory().available, control_group.available_bytes()))


def installed(package: str) -> str:
    """Return a package's version, empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def code(file: Path = Path(__file__)) -> dict[str, Any]:
    """Return the commit that a file is at, whether its checkout differs, and origin.

    Only where git tracks the file: an environment inside another project's checkout is not that
    project's code.

    Args:
        file: A file of the code that is asked about; by default our own.
    """
    remote = tracked_at(file)
    said = None if remote is None else git(file, "status", "--porcelain=v2", "--branch")
    head, *lines = (said or "").splitlines() or [""]
    commit = head.removeprefix("# branch.oid ")
    if said is None or commit == "(initial)":
        return {"commit": "", "dirty": None, "remote": ""}
    return {
        "commit": commit,
        "dirty": any(not line.startswith("#") for line in lines),
        "remote": remote,
    }


@cache
def tracked_at(file: Path) -> str | None:
    """Return where the checkout of a file came from; None if git does not track the file."""
    if git(file, "ls-files", "--error-unmatch", "--", file.name) is None:
        return None
    url = urlsplit(git(file, "remote", "get-url", "origin") or "")
    return url.hostname + url.path if url.hostname else ""


def git(file: Path, *words: str) -> str | None:
    """Return what git says where a file is; None if it cannot, or is not there.

    What the environment says of git counts for whoever set it, not for our files.
    """
    try:
        done = subprocess.run(  # nosec B607
            ["git", "-C", str(file.parent), *words],  # noqa: S607 - whichever git the user has
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env={name: held for name, held in os.environ.items() if not name.startswith("GIT_")},
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
