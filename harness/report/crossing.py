"""Who is faster from which length on, where the measurements settle it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np

from harness.report.scaling import FEWEST, Series
from harness.results.statistics import DRAWS, Floats, Interval, resampled_medians

Z95 = 1.959964
NOISE = math.log(1.25)
"""By what factor, as a logarithm, two processes that do the same may differ: what only one process
ran is not apart by less."""
BUMP = 4
"""So often the noise is a factor of 2.4; a process by itself was seen to be off by 2.3."""
PROCESSES = 3
"""With so many at a length, their own scatter says instead how far they differ."""

Samples = Mapping[int, Sequence[list[float]]]
"""Seconds of calls, for each process, by length."""


@dataclass(frozen=True)
class Crossover:
    """From where on one model is faster than another."""

    task: str
    faster: str
    slower: str
    length: float | None
    """Where `faster` gets ahead for good; None if it does not beyond noise."""
    interval: Interval | None
    """95 %, over calls and processes; None where no length lies between two that were run."""
    reason: str
    """What qualifies or replaces the length; empty if it lies between two lengths that were run."""


@dataclass(frozen=True)
class Gaps:
    """How far apart two models are at the lengths that both ran: logarithms of ratios of times."""

    lengths: tuple[int, ...]
    middle: Floats
    drawn: Floats
    """(draw, length): the same of resampled processes and calls, with what else is noise."""
    noise: Floats
    """The least that is no noise at each length."""

    @property
    def signs(self) -> Floats:
        """Return -1 where the first is faster beyond noise, 1 where the second is, else 0."""
        low, high = np.quantile(self.drawn, (0.025, 0.975), axis=0)
        apart = (np.abs(self.middle) > self.noise) & ((low > 0) | (high < 0))
        signs: Floats = np.where(apart, np.sign(self.middle), 0.0)
        return signs

    def holds(self, sign: int) -> bool:
        """Say whether a lead stands at two lengths, or at one by more than any bump."""
        found = self.signs == sign
        return bool(found.sum() > 1 or (np.abs(self.middle) > BUMP * self.noise)[found].any())


def crossovers(found: Sequence[Series]) -> list[Crossover]:
    """Return, for every two models of a task, from where on the one that wins in the end wins."""
    pairs = (pair for pair in combinations(found, 2) if pair[0].samples() and pair[1].samples())
    both = ((crossover(a, b), crossover(b, a)) for a, b in pairs)
    return [one if one.length is not None else other for one, other in both]


def crossover(a: Series, b: Series) -> Crossover:
    """Find the length from which on `a` is faster than `b`, between lengths in log-log.

    The lead must hold beyond noise on both sides: one bump at one length is no crossover.
    """
    ours, theirs = a.samples(), b.samples()
    lengths = tuple(sorted(ours.keys() & theirs.keys()))
    if len(lengths) < FEWEST:
        reason = f"{len(lengths)} undisturbed lengths that both ran, and it takes {FEWEST}"
        return Crossover(a.task, a.model, b.model, None, None, reason)
    gaps = _gaps(lengths, ours, theirs)
    behind, ahead = (np.flatnonzero(gaps.signs == sign) for sign in (1, -1))
    if not gaps.holds(-1) or len(ahead) < len(lengths) - ahead[0]:
        reason = f"not ahead beyond noise up to {lengths[-1]:,}, the longest length that both ran"
        return Crossover(a.task, a.model, b.model, None, None, reason)
    if gaps.holds(1):
        return _between(a, b, gaps, slice(int(behind[-1]), int(ahead[0]) + 1))
    everywhere = len(ahead) == len(lengths)
    reason = "ahead at every length that both ran" if everywhere else "not settled at shorter ones"
    return Crossover(a.task, a.model, b.model, float(lengths[ahead[0]]), None, reason)


def _between(a: Series, b: Series, gaps: Gaps, window: slice) -> Crossover:
    """Interpolate from the last length at which `a` is behind to the first at which it is ahead."""
    logs = np.log(np.array(gaps.lengths[window], dtype=np.float64))
    length = float(np.exp(_crossing(gaps.middle[window], logs)))
    crossings = [_crossing(row, logs) for row in gaps.drawn[:, window]]
    low, high = np.exp(np.quantile(crossings, (0.025, 0.975), method="inverted_cdf"))
    return Crossover(a.task, a.model, b.model, length, (float(low), float(high)), "")


def _gaps(lengths: tuple[int, ...], ours: Samples, theirs: Samples) -> Gaps:
    """Return how far apart two models are, and how much of it may be noise."""
    # A generator of its own with a fixed seed: the same records give the same report.
    rng = np.random.default_rng(0)
    single = max(NOISE, _backstep(ours), _backstep(theirs))
    fewest = [min(len(ours[n]), len(theirs[n])) for n in lengths]
    noise = np.array([0.0 if count >= PROCESSES else single for count in fewest])
    middle = [_log_median(ours[n]) - _log_median(theirs[n]) for n in lengths]
    drawn = np.stack([_drawn(ours[n], rng) - _drawn(theirs[n], rng) for n in lengths], axis=1)
    drawn += rng.normal(size=drawn.shape) * noise / Z95
    return Gaps(lengths, np.array(middle), drawn, noise)


def _backstep(samples: Samples) -> float:
    """Return by how much a longer call was the quicker at most: nothing but noise explains it."""
    logs = np.array([_log_median(samples[length]) for length in sorted(samples)])
    return float((np.maximum.accumulate(logs) - logs).max())


def _log_median(processes: Sequence[list[float]]) -> float:
    return math.log(median(map(median, processes)))


def _drawn(processes: Sequence[list[float]], rng: np.random.Generator) -> Floats:
    """Return logarithms of medians over resampled processes, each of resampled calls."""
    logs = np.log(np.stack([resampled_medians(calls, rng) for calls in processes]))
    chosen = rng.integers(len(logs), size=(len(logs), DRAWS))
    drawn: Floats = np.median(np.take_along_axis(logs, chosen, axis=0), axis=0)
    return drawn


def _crossing(gaps: Floats, logs: Floats) -> float:
    """Return the log length from which on every gap is negative."""
    behind = np.flatnonzero(gaps >= 0)
    if not len(behind):
        return float(logs[0])
    last = min(int(behind[-1]), len(gaps) - 2)
    share = gaps[last] / (gaps[last] - gaps[last + 1])
    return float(logs[last] + min(max(share, 0.0), 1.0) * (logs[last + 1] - logs[last]))
