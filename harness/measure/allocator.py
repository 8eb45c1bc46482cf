"""What hands out this process's memory, and whether it keeps what is given back.

glibc returns large blocks to the system as soon as they are freed, so every use of a large tensor
faults its pages in again: up to half of a long step, and more for one model than for another. What
is timed keeps its memory, as the allocators of accelerators do. What is weighed must not: a peak
that is read among blocks that were kept says little. glibc's manual describes `mallopt`.
"""

import ctypes
import os
from pathlib import Path

GLIBC, KEPT = "glibc", "glibc, memory kept"
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4
NEVER = -1
"""As a threshold: the largest size there is."""
SMALL = 64 * 1024
"""Bytes from which on a block that is weighed has pages of its own."""
PAD = 64 * 2**20
"""Bytes by which the heap grows beyond what was asked for: growing seldom, it has fewer holes."""
MOST_BLOCKS = 65_536
"""Blocks with pages of their own that glibc allows unless it is told otherwise."""
LARGEST = 1 << 36
"""Bytes of a hole in the heap at most."""


class Origin(ctypes.Structure):
    """Where an address was loaded from: `Dl_info` of `dladdr(3)`."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def allocator() -> str:
    """Return `glibc`, or `unknown` with the file that hands out memory instead of it."""
    try:
        process, origin = ctypes.CDLL(None), Origin()
        found = process.dladdr(process.malloc, ctypes.byref(origin))
    except (OSError, AttributeError, TypeError):
        return "unknown"
    file = Path(os.fsdecode(origin.file or b"")).name if found else ""
    if file.startswith("libc.so") and hasattr(process, "gnu_get_libc_version"):
        return GLIBC
    return f"unknown ({file})" if file else "unknown"


def expected() -> str:
    """Return what `keep` will have made of it in a child of this process."""
    found = allocator()
    return KEPT if found == GLIBC else found


def keep() -> str:
    """Keep what is freed from now on, where glibc hands out memory.

    Large blocks come from the heap and not from pages of their own, and the heap never shrinks.

    Returns:
        Which allocator it is, and whether memory is kept: glibc says whether it obeys.
    """
    found = allocator()
    if found != GLIBC:
        return found
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: PAD}
    return KEPT if _set(ctypes.CDLL(None), settings) else found


def give_back() -> None:
    """Return freed memory to the system, now and from now on, at a price in time."""
    if allocator() != GLIBC:
        return
    libc = ctypes.CDLL(None)
    _set(
        libc,
        {M_MMAP_MAX: MOST_BLOCKS, M_MMAP_THRESHOLD: SMALL, M_TRIM_THRESHOLD: SMALL, M_TOP_PAD: 0},
    )
    libc.malloc_trim(0)
    _fill_holes(libc)


def _set(libc: ctypes.CDLL, settings: dict[int, int]) -> bool:
    """Change settings, and say whether glibc took them all."""
    taken = [libc.mallopt(name, value) for name, value in settings.items()]
    return all(taken)


def _fill_holes(libc: ctypes.CDLL) -> None:
    """Take every free block of the heap, for good and without touching its pages.

    A large block would else be cut from one, and its pages stay when it is freed.
    """
    malloc, free, sbrk = libc.malloc, libc.free, libc.sbrk
    malloc.restype = sbrk.restype = ctypes.c_void_p
    malloc.argtypes, free.argtypes = (ctypes.c_size_t,), (ctypes.c_void_p,)
    size = LARGEST
    while size >= SMALL:
        block = malloc(size)
        if block is None or block >= sbrk(0):  # not of the heap: no hole is as large
            free(block)
            size //= 2
