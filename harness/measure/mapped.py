"""Pages of files that a process has in its page tables, and how one that it forks gets them too.

A fork copies the page tables of memory, but not those of code: the new process holds no page of
torch until it runs through it, though one that was started anew has held what importing touched. So
it would seem to hold less, and a limit or a peak would mean something else. `proc(5)` describes
`pagemap`, whose highest bit says that a page is there; `madvise(2)` the rest.
"""

import ctypes
import os
from pathlib import Path

import numpy as np

MADV_POPULATE_READ = 22
"""As in `linux/mman.h`, since Linux 5.14."""
WORD = 8
"""Bytes of a page's entry."""
PROC = Path("/proc/self")

Span = tuple[int, int]
"""An address, and how many bytes from there on."""


def mapped() -> list[Span]:
    """Return where this process has pages of files.

    Raises:
        OSError: The system does not say so.
    """
    size, found = os.sysconf("SC_PAGE_SIZE"), list[Span]()
    with (PROC / "pagemap").open("rb", buffering=0) as table:
        for line in (PROC / "maps").read_text("utf-8", "replace").splitlines():
            span, _, _, _, inode, *_ = line.split()
            if inode == "0":
                continue
            start, end = (int(word, 16) for word in span.split("-"))
            table.seek(start // size * WORD)
            entries = np.frombuffer(table.read((end - start) // size * WORD), np.uint64)
            there = np.concatenate([[False], entries >= 1 << 63, [False]])
            edges = np.flatnonzero(there[1:] != there[:-1]).reshape(-1, 2)
            found += [(start + size * int(a), size * int(b - a)) for a, b in edges]
    return found


def map_again(spans: list[Span]) -> bool:
    """Take pages of files into this process's page tables; say whether the system did it."""
    advise = ctypes.CDLL(None, use_errno=True).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    refused = [advise(start, size, MADV_POPULATE_READ) for start, size in spans]
    return not any(refused)
