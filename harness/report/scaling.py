"""Measurements over lengths: series, the power law at their long end, and who wins from where.

A series is one model on one measured task. Statistics are derived from the raw samples of calls.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np
from scipy.special import stdtrit

from harness.core.record import Record
from harness.results.aggregate import AXIS, Group
from harness.results.statistics import Floats, Interval, resampled_medians

TOP = 3
"""Longest lengths that a power law is fitted to: at short ones fixed costs hide it."""


@dataclass(frozen=True)
class Point:
    """One place of a series."""

    at: int
    """The length, or another size that was swept."""
    record: Record

    @property
    def seconds(self) -> float | None:
        """Median seconds of a call."""
        measured = self.record.measured
        return median(measured.call_s) if measured and measured.call_s else None

    @property
    def tokens_per_s(self) -> float | None:
        """Positions that a second processes, over the whole batch."""
        measured, seconds = self.record.measured, self.seconds
        return measured.tokens / seconds if measured and seconds else None

    @property
    def delta_bytes(self) -> float | None:
        """Peak memory above what the process held before."""
        return float(self.record.memory.delta_bytes) if self.record.memory else None


@dataclass(frozen=True)
class Series:
    """One model on one measured task, by ascending length."""

    task: str
    model: str
    points: tuple[Point, ...]

    def samples(self) -> dict[int, list[float]]:
        """Return the seconds of single calls by length, where there are any."""
        runs = {point.at: point.record.measured for point in self.points}
        return {length: run.call_s for length, run in runs.items() if run and run.call_s}


@dataclass(frozen=True)
class PowerLaw:
    """A quantity that grows like length to the power of `exponent`."""

    exponent: float
    interval: Interval | None
    """95 %, from the scatter about the line; None for two points, which lie on any line."""
    lengths: tuple[int, ...]
    """Those that were fitted."""


@dataclass(frozen=True)
class Crossover:
    """From where on one model is faster than another."""

    task: str
    faster: str
    slower: str
    length: float | None
    """The first length from which on `faster` is ahead at all longer ones; None if it never is."""
    interval: Interval | None
    """95 % over resampled calls; the high end is infinite where the data do not settle it."""
    reason: str
    """What qualifies or replaces the length; empty if it lies between two lengths that were run."""


def series(group: Group) -> list[Series]:
    """Return a group's measurements by model.

    Where a length was run more than once, say under another budget, a measurement goes before a
    failure and the later before the earlier.
    """
    names = group.labels
    found: dict[str, dict[int, Record]] = {label: {} for label in sorted(names.values())}
    for record in sorted(group.records, key=lambda record: record.started):
        points = found[names[record.spec.model]]
        length = _length(record)
        if length not in points or record.measured or not points[length].measured:
            points[length] = record
    return [
        Series(group.title, model, tuple(Point(*item) for item in sorted(points.items())))
        for model, points in found.items()
    ]


def power_law(points: Iterable[tuple[int, float | None]]) -> PowerLaw | None:
    """Fit (length, quantity) in log-log by least squares over the longest lengths.

    Quantities that are missing or not positive are left out; None if fewer than two remain.
    """
    known = sorted((length, value) for length, value in points if value and value > 0)[-TOP:]
    if len(known) < 2:
        return None
    x, y = np.log(np.array(known, dtype=np.float64)).T
    x, y = x - x.mean(), y - y.mean()
    exponent, freedom = float(x @ y / (x @ x)), len(known) - 2
    lengths = tuple(length for length, _ in known)
    if not freedom:
        return PowerLaw(exponent, None, lengths)
    rest = y - exponent * x
    half = float(stdtrit(freedom, 0.975) * np.sqrt(rest @ rest / freedom / (x @ x)))
    return PowerLaw(exponent, (exponent - half, exponent + half), lengths)


def crossover(a: Series, b: Series) -> Crossover:
    """Find the length from which on `a` is faster than `b`, between lengths in log-log."""
    ours, theirs = a.samples(), b.samples()
    lengths = sorted(ours.keys() & theirs.keys())
    if not lengths:
        return Crossover(a.task, a.model, b.model, None, None, "no length was measured for both")
    logs = np.log(np.array(lengths, dtype=np.float64))
    gaps = np.array([np.log(median(ours[n]) / median(theirs[n])) for n in lengths])
    log_length = _crossing(gaps, logs)
    if np.isinf(log_length):
        reason = f"not ahead at {lengths[-1]:,}, the longest length that both ran"
        return Crossover(a.task, a.model, b.model, None, None, reason)
    # A generator of its own with a fixed seed: the same records give the same report.
    rng = np.random.default_rng(0)
    drawn = np.stack(
        [resampled_medians(ours[n], rng) / resampled_medians(theirs[n], rng) for n in lengths],
        axis=1,
    )
    crossings = [_crossing(row, logs) for row in np.log(drawn)]
    low, high = np.exp(np.quantile(crossings, (0.025, 0.975), method="inverted_cdf"))
    reason = "" if gaps.max() >= 0 else "ahead at every length that both ran"
    return Crossover(
        a.task, a.model, b.model, float(np.exp(log_length)), (float(low), float(high)), reason
    )


def crossovers(found: Sequence[Series]) -> list[Crossover]:
    """Return, for every two models of a task, from where on the one that wins in the end wins."""
    pairs = (pair for pair in combinations(found, 2) if pair[0].samples() and pair[1].samples())
    both = ((crossover(a, b), crossover(b, a)) for a, b in pairs)
    return [one if one.length is not None else other for one, other in both]


def _crossing(gaps: Floats, logs: Floats) -> float:
    """Return the log length from which on every gap is negative; infinite if the last is not."""
    behind = np.flatnonzero(gaps >= 0)
    if not len(behind):
        return float(logs[0])
    last = int(behind[-1])
    if last == len(gaps) - 1:
        return np.inf
    share = gaps[last] / (gaps[last] - gaps[last + 1])
    return float(logs[last] + share * (logs[last + 1] - logs[last]))


def _length(record: Record) -> int:
    if record.measured:
        return record.measured.length
    return int({**record.task_options, **record.task.options}[AXIS])
