"""Records to cells: what a table may say of a model on a task, over its seeds. No torch.

Two records may be compared if everything but model and seed is equal: the task with its version
and options, the protocol with its budget, the device. What was timed or weighed also needs one
place. What differs is refused or kept apart.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from statistics import mean, median
from typing import Literal

from harness.core.config import Option, Protocol, show
from harness.core.errors import SpecError
from harness.core.record import FAILURES, Outcome, Record, Swept
from harness.results.newest import newest
from harness.results.statistics import (
    POINT,
    Interval,
    mean_interval,
    median_interval,
    share_interval,
)

Condition = tuple[tuple[str, Option], ...]
RATES = ("lr", "lr_scale")
"""Fields of a protocol that set learning rates."""
AXIS = "length"
"""The option that a measured task is swept over."""
USUAL = {"device": "cpu", "precision": Protocol().precision}
"""What a title need not say."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One model on one task, over its seeds."""

    task: str
    model: str
    metric: str
    """Empty, as the numbers are None, if no run has a score."""
    higher_is_better: bool
    chance: float | None
    shortcuts: Mapping[str, float]
    """Scores that ways around the question reach; older records may lack them."""
    scores: tuple[float, ...]
    """One for each run that has a score."""
    interval: Interval | None
    """95 %, of the kind that `interval_over` says."""
    interval_over: Literal["seeds", "examples", "nothing"]
    """Student's t over two seeds and more; of one seed, the run's own bootstrap over examples."""
    learned: float | None
    """Share of the seeds that beat chance: whose interval over examples lies beyond it. A run that
    diverged did not; one that was stopped says nothing."""
    learned_interval: Interval | None
    """95 % of that share (Wilson)."""
    median_interval: Interval | None
    """95 % of the median over seeds; None below five."""
    missing: Mapping[Outcome, int]
    """Runs without a score, by outcome."""
    reasons: tuple[str, ...]
    """Why they have none, each reason once."""
    step_s: float | None
    """Median over runs of the median training step."""
    train_s: float | None
    """Median over runs."""
    peak_bytes: int | None
    """The highest of any run. Like the times None where runs are of several places."""
    disturbed: bool
    """Whether other work disturbed the times of all its runs; else only the others count."""
    parameters: int | None
    runs: tuple[str, ...]
    """The names of all its runs."""
    match: str = ""
    """What its width was chosen for."""
    swept: Swept | None = None
    """What was chosen for it on validation, among what; of several times the last."""

    @property
    def best_shortcut(self) -> tuple[str, float] | None:
        """The way around the question that reaches most, and its score."""
        best = max if self.higher_is_better else min
        return best(self.shortcuts.items(), key=itemgetter(1), default=None)

    @property
    def answers(self) -> bool:
        """Whether its mean lies a point beyond chance and every way around the question.

        Many seeds tell a thousandth of a score from chance, and nobody has any use for it.
        """
        if self.mean is None or self.chance is None:
            return False
        ways = (self.chance, *self.shortcuts.values())
        if self.higher_is_better:
            return self.mean >= max(ways) + POINT
        return self.mean <= min(ways) * (1 - POINT)

    @property
    def n(self) -> int:
        """Runs with a score."""
        return len(self.scores)

    @property
    def lost(self) -> int:
        """Runs that were started and have no score."""
        return sum(count for outcome, count in self.missing.items() if outcome in FAILURES)

    @property
    def median(self) -> float | None:
        """Median score over the runs that have one."""
        return median(self.scores) if self.scores else None

    @property
    def hopeless(self) -> bool:
        """Whether it has something to learn with, and no seed learned."""
        return self.learned == 0 and self.parameters != 0

    @property
    def rates(self) -> int:
        """How many learning rates were tried on validation; 0 if it was trained at one."""
        trials = self.swept.trials if self.swept else []
        found = {tuple(trial.values.get(name) for name in RATES) for trial in trials}
        return len(found) if len(found) > 1 else 0

    @property
    def mean(self) -> float | None:
        """Average score over the runs that have one."""
        return mean(self.scores) if self.scores else None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Records that may be compared."""

    title: str
    """The task; where it was run under several conditions, with what is different in this one."""
    sweep: bool
    """Whether the task is measured over lengths, not learned."""
    records: tuple[Record, ...]
    timed: bool = False
    """Whether all are of one place, so that times and bytes may be compared."""

    @cached_property
    def members(self) -> dict[str, list[Record]]:
        """The records by model, in the order of the labels.

        Where times count, a model that ran one task by two paths stands there once for each.
        """
        names, found = self.labels, dict[str, list[Record]]()
        for record in self.records:
            found.setdefault(names[record.spec.asked], []).append(record)
        if self.timed:
            found = {name: each for label in found.items() for name, each in _by_path(*label)}
        return dict(sorted(found.items()))

    @cached_property
    def cells(self) -> list[Cell]:
        """A cell a model, in the order of their labels."""
        return [_cell(self.title, model, found) for model, found in self.members.items()]

    @property
    def labels(self) -> dict[str, str]:
        """What people write for every model; with its version where there are several."""
        labels = {record.spec.asked: record.model for record in self.records}
        uses = Counter(labels.values())
        return {full: label if uses[label] == 1 else full for full, label in labels.items()}


def cells(records: Iterable[Record]) -> list[Cell]:
    """Aggregate the records of learning tasks over seeds; sweeps over lengths are left out.

    Raises:
        SpecError: A task stands among them under two conditions, which no table may mix.
    """
    groups = [group for group in comparable_groups(records) if not group.sweep]
    refuse_mixture(groups)
    return [cell for group in groups for cell in group_cells(group)]


def group_cells(group: Group) -> list[Cell]:
    """Aggregate one group: a cell a model, in the order of their labels."""
    return list(group.cells)


def comparable_groups(records: Iterable[Record], *, timed: bool = False) -> list[Group]:
    """Split records into those that may be compared, in the order of their titles.

    Runs that failed before anybody knew their options belong to no group, nor do records of code
    that a plugin no longer has.

    Args:
        records: Any.
        timed: Whether the costs of learning tasks are to be compared and not their scores, so that
            places stand apart. Those of measured tasks always do.
    """
    planned = [each for each in newest(records).records if each.spec.protocol is not None]
    tasks: dict[tuple[bool, str], dict[Condition, list[Record]]] = {}
    for record in planned:
        sweep = not record.learns
        task, held = task_label(record, sweep=sweep), condition(record)
        if sweep or timed:
            held += (("place", record.place),)
        tasks.setdefault((sweep, task), {}).setdefault(held, []).append(record)
    return [
        Group(
            title=task + _difference(key, found),
            sweep=sweep,
            records=tuple(members),
            timed=sweep or timed,
        )
        for (sweep, task), found in sorted(tasks.items())
        for key, members in found.items()
    ]


def refuse_mixture(groups: Iterable[Group]) -> None:
    """Check that every task stands under one condition.

    Raises:
        SpecError: One does not; the sentence says what differs.
    """
    titles: dict[str, list[str]] = {}
    for group in groups:
        titles.setdefault(task_label(group.records[0], sweep=group.sweep), []).append(group.title)
    for task, found in titles.items():
        if len(found) > 1:
            raise SpecError(
                f"{task} was run under conditions that no table may mix: {'; '.join(found)}. "
                f"Choose one of them, or keep them apart with comparable_groups()."
            )


def condition(record: Record) -> Condition:
    """Return what two records of a task must have in common to be compared: names with values."""
    protocol = record.spec.protocol or Protocol()
    held = {each.name: getattr(protocol, each.name) for each in dataclasses.fields(protocol)}
    versions = {"task version": record.task_version, "protocol version": held.pop("version")}
    # The first says whether something is run, and nothing about what it gives; of what follows from
    # a match or a sweep, models have in common what it follows from.
    for name in ("budget_s", *protocol.derived & held.keys()):
        del held[name]
    return tuple({**versions, **held, "device": record.spec.device}.items())


def task_label(record: Record, *, sweep: bool) -> str:
    """Return the task as people write it; of a sweep, without the length."""
    return record.task.without(AXIS) if sweep else record.task


def _difference(key: Condition, found: Iterable[Condition]) -> str:
    """Write what of a condition the others of its device do not share, and what is unusual.

    Figures of another device or precision say so even where they stand alone.
    """
    device = dict(key)["device"]
    beside = [each for each in found if dict(each)["device"] == device]
    common = set.intersection(*map(set, beside))
    told = {pair for pair in key if pair not in common or USUAL.get(pair[0], pair[1]) != pair[1]}
    varying = ", ".join(_named(name, value) for name, value in key if (name, value) in told)
    return varying and f" ({varying})"


def _named(name: str, value: Option) -> str:
    """Write one part of a condition."""
    if name in {"match", "sweep"}:
        return f"{name} {value}" if value else f"no {name}"
    return f"on {value}" if name == "place" else f"{name}={show(value)}"


def _cell(task: str, model: str, members: Sequence[Record]) -> Cell:
    done = [record for record in members if record.learned and record.outcome == "ok"]
    runs = [record.learned for record in done if record.learned]
    missing = [record for record in members if record.outcome != "ok"]
    diverged = sum(record.outcome == "diverged" for record in missing)
    scores = tuple(run.score for run in runs)
    first = runs[0] if runs else None
    counted, beat = len(runs) + diverged, sum(run.beats_chance for run in runs)
    one_place = len({record.place for record in members}) == 1
    quiet = [record for record in done if not record.disturbed] or done
    timed = [record.learned for record in quiet if record.learned] if one_place else []
    peaks = [record.memory.peak_bytes for record in members if record.memory and one_place]
    steps = [median(run.step_s) for run in timed if run.step_s]
    trained = [run.train_s for run in timed if run.steps]
    return Cell(
        task=task,
        model=model,
        metric=first.metric if first else "",
        higher_is_better=first.higher_is_better if first else True,
        chance=first.chance if first else None,
        shortcuts=next((run.shortcuts for run in reversed(runs) if run.shortcuts), {}),
        scores=scores,
        interval=mean_interval(scores) if len(scores) > 1 else first.interval if first else None,
        interval_over="seeds" if len(scores) > 1 else "examples" if first else "nothing",
        learned=beat / counted if counted else None,
        learned_interval=share_interval(beat, counted) if counted else None,
        median_interval=median_interval(scores),
        missing=Counter(record.outcome for record in missing),
        reasons=tuple(dict.fromkeys(record.reason for record in missing if record.reason)),
        step_s=median(steps) if steps else None,
        train_s=median(trained) if trained else None,
        peak_bytes=max(peaks, default=None),
        parameters=next((r.parameters for r in members if r.parameters is not None), None),
        match=members[0].spec.protocol.match if members[0].spec.protocol else "",
        swept=next((record.swept for record in reversed(members) if record.swept), None),
        disturbed=bool(trained) and all(record.disturbed for record in quiet),
        runs=tuple(record.run_id for record in members),
    )


def _by_path(label: str, members: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """Split a model's records by their paths where one task was run by several of them."""
    paths: dict[str, set[str]] = {}
    for record in members:
        paths.setdefault(record.task, set()).update([record.path] if record.path else [])
    if all(len(found) < 2 for found in paths.values()):
        return [(label, list(members))]
    every = sorted(set().union(*paths.values()))
    return [(f"{label}, {path}", [r for r in members if r.path in {path, ""}]) for path in every]
