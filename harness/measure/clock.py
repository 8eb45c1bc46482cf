"""Time: the clock, and repeated timing until a median is known well enough."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

Z95 = 1.959964


class Samples(NamedTuple):
    """Raw seconds of repeated calls."""

    first_s: float
    """The first call, which pays for lazy set-up at this shape."""
    seconds: list[float]
    """The calls after it."""
    precision: float | None
    """Relative half-width of the median's 95 % interval; None below three calls."""


def now() -> float:
    """Return seconds of a clock that only goes forward."""
    return time.perf_counter_ns() * 1e-9


def today() -> str:
    """Return the time of day in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def nothing() -> None:
    """Wait for no device: on a CPU a call has ended when it returns."""


def sample(
    call: Callable[[], object],
    *,
    settle_s: float,
    budget_s: float,
    synchronize: Callable[[], None] = nothing,
    precision: float = 0.03,
    most: int = 50,
) -> Samples:
    """Time a call until its median is precise, or enough time or calls went into it.

    Args:
        call: What is timed.
        settle_s: Seconds after which three timed calls are enough, however they scatter.
        budget_s: Seconds for all calls together; one timed call is made in any case.
        synchronize: Waits until a device has done what was asked, inside the timed span.
        precision: Relative half-width of the median's 95 % interval at which to stop.
        most: The most timed calls.
    """

    def once() -> float:
        start = now()
        call()
        synchronize()
        return now() - start

    began = now()
    first = once()
    seconds = [once()]
    while len(seconds) < most and now() - began + median(seconds) < budget_s:
        reached = median_precision(seconds)
        if reached is not None and (reached <= precision or now() - began > settle_s):
            break
        seconds.append(once())
    return Samples(first, seconds, median_precision(seconds))


def median_precision(seconds: list[float]) -> float | None:
    """Return the relative half-width of the median's 95 % interval, None below three samples.

    The interval's ends are order statistics (binomial, normal approximation): no distribution is
    assumed, and few samples give the whole range.
    """
    n, ordered = len(seconds), sorted(seconds)
    if n < 3:
        return None
    reach = Z95 * math.sqrt(n) / 2
    low = ordered[max(0, math.floor(n / 2 - reach))]
    high = ordered[min(n - 1, math.ceil(n / 2 + reach) - 1)]
    return (high - low) / 2 / median(ordered)
