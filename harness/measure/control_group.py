"""What the control groups of this process allow, on Linux: processors and memory, versions 1 and 2.

A group's limits hold for all groups below it, so the strictest of a process's own group and of
those around it counts. Files are named as in the kernel's admin guide (`cgroup-v1`, `cgroup-v2`).
"""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

SYSTEM = Path("/")


def processors(system: Path = SYSTEM) -> float:
    """Return how many processors' time may be used; infinite without a quota.

    Args:
        system: The root of the file system that `proc` and the groups are read from.
    """
    return min((quota(folder) for folder in groups("cpu", system)), default=math.inf)


def memory_bytes(system: Path = SYSTEM) -> float:
    """Return how much memory may be held; infinite without a limit."""
    return min((limit(folder) for folder in groups("memory", system)), default=math.inf)


def available_bytes(system: Path = SYSTEM) -> float:
    """Return how much more memory may be held; infinite without a limit.

    Pages of files that nobody has used lately do not count: the kernel drops them first.
    """
    left = (limit(folder) - held(folder) for folder in groups("memory", system))
    return max(0.0, min(left, default=math.inf))


def throttled_s(system: Path = SYSTEM) -> float:
    """Return the seconds for which a quota has kept the process's group waiting so far."""
    for folder in groups("cpu", system):
        found = statistics(folder / "cpu.stat")
        return found.get("throttled_usec", 0) * 1e-6 + found.get("throttled_time", 0) * 1e-9
    return 0.0


def killed(system: Path = SYSTEM) -> int:
    """Return how many processes of the group were killed for its memory so far."""
    for folder in groups("memory", system):
        for name in ("memory.events", "memory.oom_control"):
            found = statistics(folder / name)
            if "oom_kill" in found:
                return found["oom_kill"]
    return 0


def groups(controller: str, system: Path = SYSTEM) -> Iterator[Path]:
    """Yield the folders of the groups that control this process, the innermost first."""
    for line in text(system / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        unified = number == "0" and not controllers
        if not unified and controller not in controllers.split(","):
            continue
        for root, mount in mounts("" if unified else controller, system):
            inside = PurePosixPath(path)
            below = inside.relative_to(root) if inside.is_relative_to(root) else PurePosixPath()
            for part in (below, *below.parents):
                yield system / mount / part


def mounts(controller: str, system: Path) -> Iterator[tuple[str, str]]:
    """Yield where a controller's groups are mounted, version 2's if it is empty.

    Returns:
        The group that is the root of what is seen there, and the folder without its leading slash.
    """
    for line in text(system / "proc/self/mountinfo").splitlines():
        front, _, back = line.partition(" - ")
        kind, _, options = (*back.split(" ", 2), "", "")[:3]
        fits = controller in options.split(",") if controller else kind == "cgroup2"
        if kind.startswith("cgroup") and fits:
            root, mount = front.split()[3:5]
            yield root, mount.lstrip("/")


def quota(folder: Path) -> float:
    """Return the processors that one group allows."""
    words = text(folder / "cpu.max").split() or [
        text(folder / "cpu.cfs_quota_us").strip(),
        text(folder / "cpu.cfs_period_us").strip(),
    ]
    allowed, period = map(number, words)
    return allowed / period if 0 < allowed < math.inf and 0 < period < math.inf else math.inf


def limit(folder: Path) -> float:
    """Return the bytes that one group allows."""
    unlimited = 2**62  # version 1 writes the largest multiple of a page
    words = text(folder / "memory.max") or text(folder / "memory.limit_in_bytes")
    allowed = number(words)
    return allowed if allowed < unlimited else math.inf


def held(folder: Path) -> float:
    """Return the bytes that one group holds and that the kernel cannot simply drop."""
    used = number(text(folder / "memory.current") or text(folder / "memory.usage_in_bytes") or "0")
    found = statistics(folder / "memory.stat")
    return used - found.get("total_inactive_file", found.get("inactive_file", 0))


def statistics(path: Path) -> dict[str, int]:
    """Read a file of names and numbers; nothing where there is none."""
    pairs = (line.split() for line in text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def number(words: str) -> float:
    """Read a number, `max` and what is absent being infinite."""
    try:
        return float(words)
    except ValueError:
        return math.inf


def text(path: Path) -> str:
    """Read a file; empty where there is none, or where it may not be read."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
