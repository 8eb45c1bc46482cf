"""Peak memory of a call, in a pass of its own after the timing.

On Linux the peak is `VmHWM` after writing 5 to `clear_refs`: unlike `ru_maxrss` it is not
inherited from a parent, and unlike a sampling thread it misses no spike. Memory that the allocator
keeps hides the peaks of later calls, so here it gives it back, at a price in time: nothing is timed
in a process after its memory pass.
"""

import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from harness.core.record import Memory
from harness.measure.allocator import give_back

PROC = Path("/proc/self")


def peak(call: Callable[[], object]) -> Memory:
    """Call twice and return the peak of the second call.

    What the first leaves behind, such as gradients, has pages of its own, which go when the second
    frees it.

    Args:
        call: What is weighed; it should have run before, so that lazy set-up is not counted.
    """
    give_back()
    call()
    gc.collect()
    give_back()
    before = resident()
    if not clear_peak():
        return fallback_peak(call)
    call()
    highest = status_bytes("VmHWM")
    return Memory(peak_bytes=highest, delta_bytes=max(0, highest - before), method="VmHWM")


def fallback_peak(call: Callable[[], object]) -> Memory:
    """Return what `getrusage` says, where the kernel has no resettable peak."""
    before = max_resident()
    call()
    after = max_resident()
    return Memory(peak_bytes=after, delta_bytes=after - before, method="ru_maxrss")


def max_resident() -> int:
    """Return the highest resident size of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def clear_peak() -> bool:
    """Reset `VmHWM` to the present resident size; False where the kernel does not let us."""
    try:
        (PROC / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def resident() -> int:
    """Return the resident size of this process, in bytes; 0 where there is no `/proc`."""
    return status_bytes("VmRSS")


def status_bytes(key: str, process: str = "self") -> int:
    """Read a size from `/proc/PROCESS/status`, in bytes; 0 where it cannot be read."""
    try:
        text = (PROC.parent / process / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    lines = (line.split() for line in text.splitlines() if line.startswith(f"{key}:"))
    return next((int(words[1]) * 1024 for words in lines), 0)


def limit(memory_bytes: int) -> None:
    """Let allocations fail that would take this process's memory above a limit.

    Address space is what the kernel can bound; what is mapped now but not resident (libraries,
    thread stacks) is allowed on top.
    """
    mapped = status_bytes("VmSize") - resident()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory_bytes, resource.RLIM_INFINITY))
