"""What a process has started, and what all that holds in memory, as `/proc` says on Linux."""

from collections.abc import Iterator
from pathlib import Path

from harness.measure.control_group import text

PROC = Path("/proc")


def descendants(pid: int) -> Iterator[int]:
    """Yield all that a process has started and that is there, and what that has started.

    A process whose parent has ended belongs to the nearest one above that adopts; see
    `harness.runner.child`.
    """
    for thread in tasks(pid):
        for word in text(thread / "children").split():
            yield int(word)
            yield from descendants(int(word))


def tasks(pid: int) -> list[Path]:
    """Return the folders of a process's threads, each of which has children of its own."""
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def held_bytes(pid: int, enough: float) -> int:
    """Return what the descendants of a process hold in memory, which only watches them.

    Resident pages that several share count once for each of them, so their sum is at most too
    large. Shares of them are exact, but to count them takes the kernel a walk over all pages,
    which keeps the process from mapping any: that is done only where the sum says too much.

    Args:
        pid: The process.
        enough: Bytes up to which the sum may be returned.
    """
    every = [*descendants(pid)]
    resident = sum(size(each, "status", "VmRSS") for each in every)
    if resident <= enough:
        return resident
    return sum(size(each, "smaps_rollup", "Pss") or size(each, "status", "VmRSS") for each in every)


def size(pid: int, file: str, key: str) -> int:
    """Read a size of a process, in bytes; 0 where it cannot be read."""
    lines = text(PROC / str(pid) / file).splitlines()
    words = next((line.split() for line in lines if line.startswith(f"{key}:")), [])
    return int(words[1]) * 1024 if words else 0
