"""What is timed keeps its memory, what is weighed gives it back; which allocator it was is told."""

import subprocess
import sys

import pytest

from harness.measure import allocator
from harness.measure.allocator import GLIBC, KEPT

MB = 1_000_000
FREED = """
import sys
from harness.measure import allocator, memory
said = allocator.keep() if sys.argv[1] == "keep" else allocator.allocator()
large = b"1" * 200_000_000
held = memory.resident()
del large
print(said, held - memory.resident(), sep=";")
"""
HOLES = """
from harness.measure import allocator, memory
allocator.keep()
blocks = [b"1" * 40_000_000 for _ in range(6)]
del blocks[::2]
def spike():
    for _ in range(3):
        large = b"1" * 30_000_000
        del large
def replaced():
    blocks.clear()
    spike()
    blocks.append(b"1" * 20_000_000)
replaced()
calls = spike, spike, lambda: b"1" * 100_000_000, replaced
print(*(memory.peak(call).delta_bytes for call in calls))
"""
glibc = pytest.mark.skipif(allocator.allocator() != GLIBC, reason="only glibc can be told to")


class Other:
    """A process whose memory another file hands out."""

    malloc = None

    def __init__(self, _):
        pass

    def dladdr(self, _, origin):
        origin._obj.file = b"/lib/ld-musl-x86_64.so.1"
        return 1


def said(code, *words):
    return subprocess.check_output([sys.executable, "-c", code, *words], text=True).strip()


@glibc
@pytest.mark.parametrize(("how", "name", "lost"), [("keep", KEPT, 0), ("leave", GLIBC, 200 * MB)])
def test_only_who_keeps_memory_holds_what_it_freed(how, name, lost):
    told, given = said(FREED, how).split(";")

    assert told == name
    assert abs(int(given) - lost) < 5 * MB


@glibc
def test_a_peak_is_right_among_blocks_that_were_kept():
    sizes = [30 * MB, 30 * MB, 100 * MB, 10 * MB]

    for known, read in zip(sizes, map(int, said(HOLES).split()), strict=True):
        assert abs(read - known) <= 0.05 * known + 4 * MB


def test_another_allocator_is_named_unknown_with_its_file_and_left_as_it_is(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", Other)

    unknown = "unknown (ld-musl-x86_64.so.1)"
    assert allocator.allocator() == allocator.keep() == allocator.expected() == unknown
    allocator.give_back()


def test_where_nothing_can_be_asked_the_allocator_is_unknown(monkeypatch):
    def nothing(name):
        raise OSError

    monkeypatch.setattr(allocator.ctypes, "CDLL", nothing)

    assert allocator.keep() == "unknown"


@glibc
def test_a_glibc_that_does_not_obey_keeps_nothing_and_says_so(monkeypatch):
    monkeypatch.setattr(allocator, "_set", lambda libc, settings: False)

    assert allocator.keep() == GLIBC
