"""Watches a timed section for what else used the processors, and times again when they are quiet.

Linux says it all; elsewhere what is not said is None. Sources: `proc(5)` for `/proc/stat`,
the kernel's `scheduler/sched-stats` for `schedstat`, its `accounting/psi` for the pressure.
"""

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from harness.core.interference import Interference
from harness.measure import control_group
from harness.measure.clock import now
from harness.measure.machine import allowed

T = TypeVar("T")
SYSTEM = Path("/")
PROBE_S = 0.5
"""How long is looked whether the machine is quiet again."""
PATIENCE = 1 / 4
"""Share of a budget that may be spent on waiting for that."""


class Readings(NamedTuple):
    """Counters that only grow; None where the system has none."""

    wall_s: float
    cpu_s: float
    voluntary: int
    involuntary: int
    waited_s: float | None
    pressure_s: float | None
    throttled_s: float
    busy_s: float | None


def readings(system: Path = SYSTEM) -> Readings:
    """Read all counters.

    Args:
        system: The root of the file system that `proc` is read from.
    """
    own = resource.getrusage(resource.RUSAGE_SELF)
    return Readings(
        wall_s=now(),
        cpu_s=processor_s(),
        voluntary=own.ru_nvcsw,
        involuntary=own.ru_nivcsw,
        waited_s=waited_s(system),
        pressure_s=pressure_s(system),
        throttled_s=control_group.throttled_s(system),
        busy_s=busy_s(allowed(), system),
    )


class Watch:
    """One timed section, from its making on."""

    def __init__(self) -> None:
        self.before = readings()

    def stop(self) -> Interference:
        """Return what happened since."""
        return difference(self.before, readings(), len(allowed()))


def difference(before: Readings, after: Readings, cores: int) -> Interference:
    """Return what happened between two readings."""

    def passed(old: float | None, new: float | None) -> float | None:
        return None if old is None or new is None else max(0.0, new - old)

    cpu_s, busy = after.cpu_s - before.cpu_s, passed(before.busy_s, after.busy_s)
    return Interference(
        wall_s=after.wall_s - before.wall_s,
        cpu_s=cpu_s,
        voluntary_switches=after.voluntary - before.voluntary,
        involuntary_switches=after.involuntary - before.involuntary,
        waited_s=passed(before.waited_s, after.waited_s),
        pressure_s=passed(before.pressure_s, after.pressure_s),
        throttled_s=max(0.0, after.throttled_s - before.throttled_s),
        others_s=None if busy is None else max(0.0, busy - cpu_s),
        cores=cores,
    )


def quietest(timed: Callable[[], T], budget_s: float) -> tuple[T, Interference]:
    """Time a section; if others disturbed it, again once they are gone, while a budget lasts.

    Returns:
        What the least disturbed try gave, and what happened during it.
    """
    began = now()
    best, found = watched(timed)
    while found.disturbed and quiet_again(budget_s * PATIENCE):
        if now() - began + found.wall_s > budget_s:
            break
        other, seen = watched(timed)
        if seen.most < found.most:
            best, found = other, seen
    return best, found


def watched(timed: Callable[[], T]) -> tuple[T, Interference]:
    """Time a section, and say what happened meanwhile."""
    watch = Watch()
    return timed(), watch.stop()


def quiet_again(patience_s: float) -> bool:
    """Wait until nobody else uses the processors, at most so long; say whether that came."""
    began = now()
    while now() - began < patience_s:
        if not watched(lambda: time.sleep(PROBE_S))[1].disturbed:
            return True
    return False


def processor_s() -> float:
    """Return the processor seconds of this process and of all that it started so far."""
    import psutil  # noqa: PLC0415 - keeps the start of the command short

    total = 0.0
    for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(whose)
        total += used.ru_utime + used.ru_stime
    for child in psutil.Process().children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.Error:  # it ended meanwhile, and counts with those that we waited for
            continue
    return total


def waited_s(system: Path = SYSTEM) -> float | None:
    """Return the seconds that this process's threads were ready to run and did not."""
    tasks = system / "proc/self/task"
    try:
        files = [folder / "schedstat" for folder in tasks.iterdir()]
        return sum(int(file.read_text().split()[1]) for file in files) * 1e-9
    except (OSError, IndexError, ValueError):
        return None


def pressure_s(system: Path = SYSTEM) -> float | None:
    """Return the seconds in which something on the machine was ready to run and did not."""
    try:
        first = (system / "proc/pressure/cpu").read_text().splitlines()[0]
        return int(first.rpartition("total=")[2]) * 1e-6
    except (OSError, IndexError, ValueError):
        return None


def busy_s(cores: set[int], system: Path = SYSTEM) -> float | None:
    """Return the seconds that cores were not idle, what a host took from a virtual one included."""
    try:
        lines = (system / "proc/stat").read_text().splitlines()
        rows = [line.split() for line in lines if line.startswith("cpu") and line[3] != " "]
        ticks = [list(map(int, row[1:9])) for row in rows if int(row[0][3:]) in cores]
        if not ticks:
            return None
        return sum(sum(row) - row[3] - row[4] for row in ticks) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None
