"""Draws many images, over several processes if there are many.

Each image has a seed of its own, so it does not matter which process draws it.

Axes: n images, p pixels of a side.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context, parent_process
from threading import Thread
from types import ModuleType
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from suites._pathfinder.image import pictures
from suites._pathfinder.style import Style

WORTH = 16
"""Images that are worth a process, which takes a second or two to begin."""


class Images(NamedTuple):
    """Images without the places of what is in them."""

    pixels: UInt8[np.ndarray, "n p p"]
    classes: UInt8[np.ndarray, "n p p"]
    """As of `Picture.classes`."""
    labels: Bool[np.ndarray, " n"]


def images(style: Style, seeds: Sequence[int], processes: int) -> Images:
    """Draw images in the order of their seeds.

    Args:
        style: Sizes and counts.
        seeds: Each says all that is random about one image.
        processes: How many may draw, this one included.

    Raises:
        ChildProcessError: One of them has ended before its images were drawn.
    """
    share = max(1, min(processes, len(seeds) // WORTH))
    try:
        with _without_main():
            others = [
                _pool(processes - 1).submit(_images, style, list(seeds[first::share]))
                for first in range(1, share)
            ]
        parts = [_images(style, seeds[::share]), *(other.result() for other in others)]
    except BrokenProcessPool as error:
        _pool.cache_clear()
        raise ChildProcessError(
            "A process that draws images has ended; run the command again."
        ) from error
    order = np.argsort(np.concatenate([np.arange(len(seeds))[i::share] for i in range(share)]))
    return Images(*(np.concatenate(columns)[order] for columns in zip(*parts, strict=True)))


def _images(style: Style, seeds: Sequence[int]) -> Images:
    some = pictures(style, seeds)
    return Images(
        np.stack([one.pixels for one in some]),
        np.stack([one.classes for one in some]),
        np.array([one.label for one in some]),
    )


@lru_cache(maxsize=1)
def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, get_context("spawn"), _begin)


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep processes that start from importing the script that the user has started.

    It need not be written for that, and what it imports, such as torch, is of no use to them.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
    os._exit(1)
