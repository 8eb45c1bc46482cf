"""Compares two sets of records, run by run. No torch.

Two models of one folder are paired by task and seed; two folders by task, model and seed. Only runs
that were asked the same under the same protocol are pairs, so a difference has one cause. Their
times and bytes are compared only where both were made on one place, times only of quiet runs.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np

from harness.core.config import NAME, Selector
from harness.core.errors import unknown
from harness.core.record import FAILURES, Record
from harness.results.aggregate import Condition, condition
from harness.results.by_example import ByExample, adjusted_together, by_example
from harness.results.newest import newest
from harness.results.revisions import extracted, is_revision
from harness.results.statistics import (
    Interval,
    adjusted,
    mean_interval,
    p_above_zero,
    resampled_medians,
    sign_flip_p_value,
)
from harness.results.store import Store

Key = tuple[str, str, Condition, int]


@dataclass(frozen=True, kw_only=True)
class ScoreChange:
    """The score of B less that of A, over the seeds that both ran."""

    metric: str
    higher_is_better: bool
    mean_a: float
    mean_b: float
    difference: float
    """Mean of the paired differences."""
    interval: Interval
    """95 % of `difference`: Student's t over seeds; of one pair, over the test examples of both
    runs as if they were independent."""
    p_value: float | None
    """Two-sided sign-flip permutation test, exact up to 13 pairs; None for one pair, which
    proves nothing."""
    adjusted_p_value: float | None = None
    """Raised for all tasks of the comparison: of those below 0.05 one in twenty is by chance."""
    effect: float | None
    """Mean difference over its standard deviation (Cohen's d of pairs); None where that is 0."""
    p_worse: float
    """Of B being no worse, one-sided: Student's t over pairs; of one pair, normal over examples."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A cost of B over that of A, averaged geometrically over the pairs; below 1 is better."""

    value: float
    interval: Interval | None
    """95 %: over pairs, of one pair over resampled times; None where one pair has no samples."""
    p_worse: float
    """Of B costing no more, one-sided, in the same way; 0 or 1 of one pair without samples."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What B changes on one task."""

    task: str
    model: str
    """The model, or `A against B`."""
    seeds: tuple[int, ...]
    """Seeds that both sides finished."""
    score: ScoreChange | None
    """None for a measured task."""
    seconds: Ratio | None
    """Of a training step, or of a measured call."""
    peak_bytes: Ratio | None
    by_example: ByExample | None = None
    """None where a side has not kept what each example was, or had others."""
    unmatched: tuple[str, ...] = ()
    """Why times or bytes of some pairs are not compared, a sentence each."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """B against A."""

    changes: tuple[Change, ...]
    broken: tuple[str, ...]
    """Runs that succeeded in A and were started and lost in B, a sentence each."""
    unpaired: int
    """Runs of either side that the other has not, or not under the same condition."""

    @property
    def note(self) -> str:
        """What must be said beside the numbers; empty if nothing."""
        if not self.changes:
            return "No run of A and B is common, so nothing was compared."
        said = dict.fromkeys(why for change in self.changes for why in change.unmatched)
        if not self.empty and all(len(change.seeds) < 2 for change in self.changes):
            said["One seed proves nothing about another: intervals are over examples or calls."] = (
                None
            )
        return " ".join(said)

    @property
    def empty(self) -> bool:
        """Whether there is no score and no ratio in it."""
        found = (part for c in self.changes for part in (c.score, c.seconds, c.peak_bytes))
        return all(part is None for part in found)


def compare(a: Iterable[Record], b: Iterable[Record]) -> Comparison:
    """Pair the runs of two sets of records and compare them.

    If each side holds one model and they differ, the models are compared; else runs of one model.
    """
    a, b = newest(a).records, newest(b).records
    models_a, models_b = ({record.spec.asked for record in side} for side in (a, b))
    versus = len(models_a) == len(models_b) == 1 and models_a != models_b
    ours, theirs = ({_key(record, versus): record for record in side} for side in (a, b))
    groups: dict[tuple[str, str, Condition], list[tuple[Record, Record]]] = {}
    for key in ours:
        if key in theirs:
            groups.setdefault(key[:3], []).append((ours[key], theirs[key]))
    changes = [
        _change(done)
        for pairs in groups.values()
        if (done := [pair for pair in pairs if all(record.outcome == "ok" for record in pair)])
    ]
    changes = _adjusted(changes)
    broken = [
        f"{new.task}, seed {new.spec.seed}: {old.model} was ok in A, but {new.model} is "
        f"{new.outcome} in B: {new.reason}"
        for pairs in groups.values()
        for old, new in pairs
        if old.outcome == "ok" and new.outcome in FAILURES
    ]
    unpaired = len(ours.keys() ^ theirs.keys())
    return Comparison(changes=tuple(changes), broken=tuple(broken), unpaired=unpaired)


@dataclass(frozen=True)
class Side:
    """What is compared: some records of a store."""

    store: Store
    records: list[Record]


def sides(a: str, b: str, results: Path) -> tuple[Side, Side]:
    """Return the records of two sides, each a model in `results`, or a folder of results.

    A name is a model's if there is one of it; a folder beside it is written as a path (`./s4d`), a
    folder at a git revision as `REVISION:PATH`.

    Raises:
        SpecError: A side is neither.
    """
    store = Store(results)
    records = store.records()
    return _side(a, store, records), _side(b, store, records)


def _side(name: str, store: Store, records: Sequence[Record]) -> Side:
    if is_revision(name):
        other = Store(extracted(name))
        return Side(other, other.records())
    folder = Path(name).is_dir()
    written_as_path = name != Path(name).name  # `./s4d`, `s4d/`, `results/before`, `..`
    if not (folder and (written_as_path or NAME.fullmatch(name) is None)):
        chosen = Selector(name)
        if found := [each for each in records if chosen in {each.model, each.spec.asked}]:
            return Side(store, found)
    if folder:
        other = Store(name)
        return Side(other, other.records())
    known = sorted({str(record.model) for record in records})
    raise unknown(f"model in {str(store.folder)!r}, or folder,", name, known)


def _key(record: Record, versus: bool) -> Key:
    return (
        record.spec.task,
        "" if versus else record.spec.asked,
        condition(record),
        record.spec.seed,
    )


def _change(pairs: Sequence[tuple[Record, Record]]) -> Change:
    first, second = pairs[0]
    same = first.spec.asked == second.spec.asked
    apart = [_apart(old, new) for old, new in pairs]
    together = [pair for pair, why in zip(pairs, apart, strict=True) if not why]
    busy = [_busy(old, new) for old, new in together]
    quiet = [pair for pair, why in zip(together, busy, strict=True) if not why]
    times = [(_samples(old), _samples(new)) for old, new in quiet]
    peaks = [
        (old.memory.peak_bytes, new.memory.peak_bytes)
        for old, new in together
        if old.memory and new.memory and old.memory.peak_bytes > 0 and new.memory.peak_bytes > 0
    ]
    return Change(
        task=first.task,
        model=first.model if same else f"{first.model} against {second.model}",
        seeds=tuple(old.spec.seed for old, _ in pairs),
        score=_score_change(pairs),
        seconds=_time_ratio([pair for pair in times if all(pair)]),
        peak_bytes=_ratio([new / old for old, new in peaks]),
        by_example=by_example([old for old, _ in pairs], [new for _, new in pairs]),
        unmatched=tuple(dict.fromkeys(filter(None, (*apart, *busy)))),
    )


def _apart(old: Record, new: Record) -> str:
    """Say why times and bytes of two runs are not compared; nothing if they may be."""
    if old.place != new.place:
        return f"Times and bytes are not compared: A was made on {old.place}, B on {new.place}."
    if old.spec.asked == new.spec.asked and old.path != new.path:
        return (
            f"Times and bytes are not compared: {old.model} ran by the path {old.path} in A, by "
            f"{new.path} in B."
        )
    return ""


def _busy(old: Record, new: Record) -> str:
    """Say whether other work disturbed the times of two runs; nothing if not."""
    found = [side for side, record in (("A", old), ("B", new)) if record.disturbed]
    sides = " and ".join(found)
    return f"Disturbed times are not compared: the machine was busy in {sides}." if found else ""


def _score_change(pairs: Sequence[tuple[Record, Record]]) -> ScoreChange | None:
    runs = [(old.learned, new.learned) for old, new in pairs if old.learned and new.learned]
    if not runs:
        return None
    scores = [(old.score, new.score) for old, new in runs]
    differences = [new - old for old, new in scores]
    first, second = runs[0]
    losses = [-d if first.higher_is_better else d for d in differences]
    if len(runs) > 1:
        interval, spread = mean_interval(differences), stdev(differences)
        p_worse = p_above_zero(losses)
    else:
        half = math.hypot(*((high - low) / 2 for low, high in (first.interval, second.interval)))
        interval, spread = _around(differences[0], half), 0.0
        p_worse = p_above_zero(losses, half)
    return ScoreChange(
        metric=first.metric,
        higher_is_better=first.higher_is_better,
        mean_a=mean(old for old, _ in scores),
        mean_b=mean(new for _, new in scores),
        difference=mean(differences),
        interval=interval,
        p_value=sign_flip_p_value(differences) if len(runs) > 1 else None,
        effect=mean(differences) / spread if spread else None,
        p_worse=p_worse,
    )


def _adjusted(changes: Sequence[Change]) -> list[Change]:
    """Raise the p-values for all changes together: of many tasks some differ by chance."""
    known = [c.score.p_value for c in changes if c.score and c.score.p_value is not None]
    raised = iter(adjusted(known))
    changes = [
        replace(c, score=replace(c.score, adjusted_p_value=next(raised)))
        if c.score and c.score.p_value is not None
        else c
        for c in changes
    ]
    found = adjusted_together([c.by_example for c in changes])
    return [replace(c, by_example=each) for c, each in zip(changes, found, strict=True)]


def _time_ratio(times: Sequence[tuple[list[float], list[float]]]) -> Ratio | None:
    times = [pair for pair in times if all(map(median, pair))]
    ratio = _ratio([median(new) / median(old) for old, new in times])
    if ratio is None or ratio.interval is not None:
        return ratio
    rng = np.random.default_rng(0)
    old, new = (resampled_medians(samples, rng) for samples in times[0])
    low, high = np.quantile(new / old, (0.025, 0.975))
    no_more = float(np.mean(new <= old))
    return Ratio(value=ratio.value, interval=(float(low), float(high)), p_worse=no_more)


def _ratio(ratios: Sequence[float]) -> Ratio | None:
    """Average ratios; the interval is over them, so one has none."""
    if not ratios:
        return None
    logs = [math.log(ratio) for ratio in ratios]
    low, high = mean_interval(logs) if len(logs) > 1 else (None, None)
    interval = (math.exp(low), math.exp(high)) if low is not None and high is not None else None
    return Ratio(value=math.exp(mean(logs)), interval=interval, p_worse=p_above_zero(logs))


def _samples(record: Record) -> list[float]:
    """Return the raw seconds of what was timed."""
    if record.learned:
        return record.learned.step_s
    return record.measured.call_s if record.measured else []


def _around(value: float, half: float) -> Interval:
    return value - half, value + half
