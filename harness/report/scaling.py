"""Measurements over lengths: series, and the power law at their long end.

A series is one model on one measured task on one place. Statistics are derived from the raw samples
of calls; what other work disturbed is shown, and enters none of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import scipy

from harness.core.record import Record
from harness.results.aggregate import AXIS, Group
from harness.results.statistics import Interval, median_interval

TOP = 4
"""Longest lengths that a power law is fitted to: at short ones fixed costs hide it."""
FEWEST = 3
"""Lengths without which nothing is said of how a quantity grows or where two models cross."""
WIDEST = 0.5
"""Half of an exponent's interval beyond which it does not tell linear from quadratic."""


@dataclass(frozen=True)
class Point:
    """One place of a series."""

    at: int
    """The length, or another size that was swept."""
    records: tuple[Record, ...]
    """Runs that count, in order of time: the undisturbed measurements, one for each seed; without
    any, the disturbed ones; without those, the latest that has no measurement."""

    @property
    def record(self) -> Record:
        """The latest run."""
        return self.records[-1]

    @property
    def disturbed(self) -> bool:
        """Whether there is no time but disturbed ones."""
        return bool(self.record.measured and self.record.disturbed)

    @property
    def calls(self) -> list[list[float]]:
        """Seconds of single calls, for each process."""
        return [r.measured.call_s for r in self.records if r.measured and r.measured.call_s]

    @property
    def seconds(self) -> float | None:
        """Median seconds of a call; of several processes, the median of theirs."""
        return median(map(median, self.calls)) if self.calls else None

    @property
    def seconds_interval(self) -> Interval | None:
        """95 % of that median over calls; of several processes, from the lowest to the highest."""
        if len(self.calls) == 1:
            return median_interval(self.calls[0])
        middles = [median(calls) for calls in self.calls]
        return (min(middles), max(middles)) if middles else None

    @property
    def quiet_seconds(self) -> float | None:
        """The same; None if others disturbed it."""
        return None if self.disturbed else self.seconds

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

    def samples(self) -> dict[int, list[list[float]]]:
        """Return the undisturbed seconds of single calls by length, for each process."""
        return {p.at: p.calls for p in self.points if p.calls and not p.disturbed}


@dataclass(frozen=True)
class PowerLaw:
    """A quantity that grows like length to the power of `exponent`."""

    exponent: float
    interval: Interval | None
    """95 %, from the scatter about the line; None for two points, which lie on any line."""
    lengths: tuple[int, ...]
    """Those that were fitted."""
    ratio: float
    """The quantity at the longest of them over that at the one before."""

    @property
    def settled(self) -> bool:
        """Whether the exponent's interval says something."""
        return self.interval is not None and self.interval[1] - self.exponent <= WIDEST


def series(group: Group) -> list[Series]:
    """Return a group's measurements by model."""
    return [
        Series(group.title, model, _points(records)) for model, records in group.members.items()
    ]


def power_law(points: Iterable[tuple[int, float | None]]) -> PowerLaw | None:
    """Fit (length, quantity) in log-log by least squares over the longest lengths.

    The scatter about the line is of all kinds: of calls, of processes, of what is no power law.
    Quantities that are missing or not positive are left out; None if fewer than two remain.
    """
    known = sorted((length, value) for length, value in points if value and value > 0)[-TOP:]
    if len(known) < 2:
        return None
    x, y = np.log(np.array(known, dtype=np.float64)).T
    x, y = x - x.mean(), y - y.mean()
    exponent, freedom = float(x @ y / (x @ x)), len(known) - 2
    lengths, ratio = tuple(length for length, _ in known), known[-1][1] / known[-2][1]
    if not freedom:
        return PowerLaw(exponent, None, lengths, ratio)
    rest = y - exponent * x
    half = float(scipy.special.stdtrit(freedom, 0.975) * np.sqrt(rest @ rest / freedom / (x @ x)))
    return PowerLaw(exponent, (exponent - half, exponent + half), lengths, ratio)


def _points(records: Sequence[Record]) -> tuple[Point, ...]:
    """Gather runs by length, of each the best kind there is, and of equal seeds the latest."""
    found: dict[int, dict[int, dict[int, Record]]] = {}
    for record in sorted(records, key=lambda record: record.started):
        kinds = found.setdefault(_length(record), {})
        kinds.setdefault(_kind(record), {})[record.spec.seed] = record
    best = {length: (kind, kinds[kind]) for length, kinds in found.items() for kind in [min(kinds)]}
    return tuple(
        Point(length, tuple(runs.values()) if kind < 2 else tuple(runs.values())[-1:])
        for length, (kind, runs) in sorted(best.items())
    )


def _kind(record: Record) -> int:
    """Return 0 for a measurement, 1 for a disturbed one, 2 for none."""
    return 2 if record.measured is None else int(bool(record.disturbed))


def _length(record: Record) -> int:
    if record.measured:
        return record.measured.length
    return int({**record.task_options, **record.task.options}[AXIS])
