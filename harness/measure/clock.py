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


def milliseconds() -> int:
    """Return the time of day as milliseconds since 1970, UTC."""
    return int(datetime.now(UTC).timestamp() * 1000)


def nothing() -> None:
    """Wait for no device: on a CPU a call has ended when it returns."""


def sample(
    *calls: Callable[[], object],
    settle_s: float,
    budget_s: float,
    synchronize: Callable[[], None] = nothing,
    precision: float = 0.03,
    most: int = 50,
) -> list[Samples]:
    """Time calls in turns, A B A B, until every median is precise, or enough went into them.

    Args:
        calls: What is timed, one or several that are compared.
        settle_s: Seconds after which three timed rounds are enough, however they scatter.
        budget_s: Seconds for all calls together; one round is timed in any case.
        synchronize: Waits until a device has done what was asked, inside the timed span.
        precision: Relative half-width of a median's 95 % interval at which to stop.
        most: The most timed rounds.
    """

    def once(call: Callable[[], object]) -> float:
        start = now()
        call()
        synchronize()
        return now() - start

    began = now()
    first = [once(call) for call in calls]
    seconds = [[once(call)] for call in calls]
    while len(seconds[0]) < most and now() - began + sum(map(median, seconds)) < budget_s:
        reached = [found for each in seconds if (found := median_precision(each)) is not None]
        if reached and (max(reached) <= precision or now() - began > settle_s):
            break
        for call, each in zip(calls, seconds, strict=True):
            each.append(once(call))
    return [
        Samples(first_s, each, median_precision(each))
        for first_s, each in zip(first, seconds, strict=True)
    ]


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
