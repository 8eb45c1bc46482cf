"""When Python looks for cycles of values that nobody holds any more. No torch."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many values at once without a search for cycles, which finds none while they are held.

    It looks at all that is held again and again: half the time of reading records, a quarter of
    drawing a figure.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
