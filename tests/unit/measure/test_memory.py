"""A peak is what a call held at its highest, whatever the process held before."""

import subprocess
import sys

import pytest

from harness.measure import allocator, memory

MB = 1_000_000
CHILD = """
import sys
from harness.measure.memory import peak
held = b"1" * int(sys.argv[1])
sizes = [peak(lambda: len(b"1" * size)).delta_bytes for size in map(int, sys.argv[2:])]
print(*sizes)
"""


def readings(held, *sizes):
    words = [sys.executable, "-c", CHILD, *map(str, (held, *sizes))]
    return [int(word) for word in subprocess.check_output(words).split()]


@pytest.mark.parametrize("held", [0, 200 * MB])
def test_known_allocations_are_read_within_5_percent_and_4_megabytes(held):
    sizes = [16 * MB, 128 * MB, 16 * MB]

    for known, read in zip(sizes, readings(held, *sizes), strict=True):
        assert abs(read - known) <= 0.05 * known + 4 * MB


def test_the_peak_is_not_inherited_from_a_large_parent():
    large = b"1" * (300 * MB)

    assert readings(0, 16 * MB)[0] < 30 * MB
    assert len(large) == 300 * MB


def test_a_spike_that_is_gone_at_the_end_is_seen():
    def spike():
        return len(b"1" * (100 * MB)) and None

    assert memory.peak(spike).delta_bytes > 90 * MB


def test_without_a_resettable_peak_the_method_says_what_was_read(monkeypatch):
    monkeypatch.setattr(memory, "clear_peak", lambda: False)

    assert memory.peak(lambda: None).method == "ru_maxrss"


def test_without_proc_and_glibc_sizes_are_unknown_and_peaks_the_systems_own(monkeypatch, tmp_path):
    def nothing(name):
        raise OSError

    monkeypatch.setattr(memory, "PROC", tmp_path / "self")
    monkeypatch.setattr(allocator.ctypes, "CDLL", nothing)

    assert memory.resident() == 0
    assert memory.peak(lambda: None).method == "ru_maxrss"


def test_an_allocation_beyond_the_limit_fails_in_the_child():
    code = (
        "from harness.measure.memory import limit\n"
        "limit(100_000_000)\n"
        "small = b'1' * 20_000_000\n"
        "try:\n    b'1' * 300_000_000\n"
        "except MemoryError:\n    print('refused')\n"
    )

    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"refused"
