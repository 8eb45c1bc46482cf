"""The instrument's self-test: a child uses known memory and known time, and we read them.

Its errors are stored with results; a reading off by more than 5 % + 4 MB, or a time off by more
than 2 %, flags every record of the sweep.
"""

import json
import subprocess
import sys
import time
from functools import cache, partial

from harness.measure.allocator import keep
from harness.measure.clock import now
from harness.measure.machine import pinned_environment, python
from harness.measure.memory import peak

SIZES = (16_000_000, 64_000_000, 256_000_000)
"""Bytes."""
NAPS = (0.1, 0.4)
"""Seconds."""


def touch(size: int) -> int:
    """Use memory: every page is written to."""
    return len(b"\x01" * size)


def readings() -> dict[str, list[float]]:
    """Read known sizes and known naps in this process."""
    sizes = [float(peak(partial(touch, size)).delta_bytes) for size in SIZES]
    naps = []
    for nap in NAPS:
        start = now()
        time.sleep(nap)
        naps.append(now() - start)
    return {"bytes": sizes, "seconds": naps}


def verdict(read: dict[str, list[float]]) -> dict[str, object]:
    """Compare readings with what is known.

    Returns:
        The largest relative errors, and a sentence for each reading that is off.
    """
    flags = [
        f"{known / 1e6:.0f} MB read as {seen / 1e6:.1f} MB"
        for known, seen in zip(SIZES, read["bytes"], strict=True)
        if abs(seen - known) > 0.05 * known + 4e6
    ]
    flags += [
        f"{known} s read as {seen:.4f} s"
        for known, seen in zip(NAPS, read["seconds"], strict=True)
        if abs(seen - known) > 0.02 * known
    ]
    return {
        "memory_error": worst(SIZES, read["bytes"]),
        "time_error": worst(NAPS, read["seconds"]),
        "flags": flags,
    }


def worst(known: tuple[float, ...], seen: list[float]) -> float:
    """Return the largest relative error."""
    return max(abs(s - k) / k for k, s in zip(known, seen, strict=True))


@cache
def selftest() -> dict[str, object]:
    """Run the test in a fresh child, once a process, as every run is."""
    done = subprocess.run(
        python("-m", __name__),
        capture_output=True,
        encoding="utf-8",
        check=True,
        env=pinned_environment(),
    )
    return verdict(json.loads(done.stdout))


if __name__ == "__main__":
    keep()  # as a run does
    sys.stdout.write(json.dumps(readings()))
