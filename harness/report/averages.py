"""The table of averages over several tasks: each over all of its tasks, or else what it lacks.

A task says in which averages a run of its very options counts, and the record keeps it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import mean

import numpy as np
import scipy

from harness.report import units
from harness.report.tables import Table, Text
from harness.results.aggregate import Cell, Group, group_cells
from harness.results.published import Figure
from harness.results.statistics import Interval

FEWEST = 2
"""Tasks that a model must have for an average to be spoken of: one may belong to many."""

Average = tuple[str, tuple[tuple[str, float | None], ...]]
"""A name, and all tasks in order with the least that a run counts; equal ones are the same."""


@dataclass(frozen=True)
class TaskScores:
    """What one model has of one task, under one condition."""

    title: str
    """The task, with what is different in this condition."""
    scores: tuple[float, ...]
    """As they count: one for each seed."""
    half: float
    """Half of the 95 % interval over the examples, where there is one seed."""
    missing: str
    """Outcomes of the runs that do not count."""
    lost: int
    """How many of them were started."""
    diverged: int
    """Runs that diverged and count nevertheless."""


@dataclass(frozen=True)
class AverageRow:
    """One average over one choice of conditions."""

    name: str
    over: tuple[str, ...]
    """The tasks, with what is different in these conditions."""
    texts: Mapping[str, Text]
    """By model, with all its options."""

    tasks: Mapping[str, float | None]
    """What is averaged, each with the least that a run counts there."""

    def is_averaged_as(self, printed: Figure) -> bool:
        """Say whether a published average is over the same suite by the same convention."""
        suites = {task.partition("/")[0] for task in self.tasks}
        over = f"over {len(self.tasks)}"
        failed = [f"{over}, failed as {100 * least:g}" for least in self.tasks.values() if least]
        same = {f"{suite} average" for suite in suites} == {printed.paper_task.lower()}
        return same and printed.averaging in {over, *failed}

    def shown(self, models: Iterable[str]) -> tuple[Text, ...]:
        """Write the row with a column for each model."""
        nothing = Text(units.DASH, missing=True)
        cells = (self.texts.get(model, nothing) for model in models)
        return (Text(self.name), *cells, Text("; ".join(self.over)))


def average_table(groups: Iterable[Group]) -> Table:
    """Make the table of averages x models."""
    rows, labels = every_average(groups)
    models = sorted({model for row in rows for model in row.texts}, key=labels.__getitem__)
    return Table(
        title="Averages over tasks",
        columns=("Average", *map(labels.__getitem__, models), "Over"),
        rows=tuple(row.shown(models) for row in rows),
        note="Mean of the tasks' mean scores, where a model has every task of the average with the "
        "options that count; ± half its 95 % interval: over n seeds of each task (Student's t, "
        "freedom after Satterthwaite), over the test examples where n is 1, none where some tasks "
        "have one seed and some more. Diverged runs count where papers give them a score, and are "
        "then named. Models that ran under other conditions stand in another row.",
        prose=1,
    )


def every_average(groups: Iterable[Group]) -> tuple[list[AverageRow], Mapping[str, str]]:
    """Return all averages, and the labels of the models by their names."""
    learned = [group for group in groups if not group.sweep]
    found: dict[Average, list[Group]] = {}
    for group in learned:
        for average in _stated(group):
            found.setdefault(average, []).append(group)
    ordered = sorted(found.items(), key=lambda item: item[0][0])
    rows = [row for average, members in ordered for row in _rows(average, members)]
    records = chain.from_iterable(group.records for group in learned)
    return rows, Group(title="", sweep=False, records=tuple(records)).labels


def _stated(group: Group) -> list[Average]:
    """Return the averages that the newest record says it counts in."""
    newest, task = max(group.records, key=lambda record: record.started), _task(group)
    stated = newest.averages.items()
    return [(name, tuple(sorted(tasks.items()))) for name, tasks in stated if task in tasks]


def _task(group: Group) -> str:
    return group.records[0].spec.task.name


def _rows(average: Average, members: Iterable[Group]) -> list[AverageRow]:
    """Make a row for each choice of conditions; the first says also what others lack."""
    name, tasks = average[0], dict(average[1])
    whole: dict[tuple[str, ...], dict[str, Text]] = {}
    lacking: dict[str, Text] = {}
    for model, parts in _parts(tasks, members).items():
        scored = {task: [part for part in parts[task] if part.scores] for task in tasks}
        chosen = [part for found in scored.values() for part in found]
        if sum(map(bool, scored.values())) < FEWEST:
            continue
        if all(len(found) == 1 for found in scored.values()):
            whole.setdefault(tuple(part.title for part in chosen), {})[model] = _text(chosen)
        else:
            lacking[model] = Text(_complaint(scored, parts), missing=True)
    if lacking:
        whole.setdefault(next(iter(whole), tuple(tasks)), {}).update(lacking)
    return [AverageRow(name, over, texts, tasks) for over, texts in whole.items()]


def _parts(
    tasks: Mapping[str, float | None], members: Iterable[Group]
) -> dict[str, dict[str, list[TaskScores]]]:
    """Return what each model has of each task, by the model with all its options."""
    found: dict[str, dict[str, list[TaskScores]]] = {}
    for group in members:
        task, models = _task(group), {label: full for full, label in group.labels.items()}
        for cell in group_cells(group):
            parts = found.setdefault(models[cell.model], {name: [] for name in tasks})
            parts[task].append(_part(cell, tasks[task]))
    return found


def _part(cell: Cell, least: float | None) -> TaskScores:
    """Take a cell as it counts: no run for less than the least, a diverged one for just that."""
    scores, (low, high) = cell.scores, cell.interval or (0.0, 0.0)
    missing, diverged = dict(cell.missing), 0
    if least is not None:
        diverged = missing.pop("diverged", 0)
        scores = tuple(max(least, score) for score in (*scores, *[least] * diverged))
        low, high = max(least, low), max(least, high)
    half, outcomes = (high - low) / 2, ", ".join(missing)
    return TaskScores(cell.task, scores, half, outcomes, cell.lost - diverged, diverged)


def _complaint(
    scored: Mapping[str, Sequence[TaskScores]], parts: Mapping[str, Sequence[TaskScores]]
) -> str:
    """Say why there is no average: what it lacks, or else what there is too much of."""
    lacks = [_absence(task, parts[task]) for task, found in scored.items() if not found]
    if lacks:
        return f"{len(scored) - len(lacks)} of {len(scored)}: lacks {', '.join(lacks)}"
    twice = [f"{task} under {len(found)}" for task, found in scored.items() if len(found) > 1]
    return f"ran {', '.join(twice)} conditions, of which one must be chosen"


def _absence(task: str, parts: Iterable[TaskScores]) -> str:
    """Name a task, and what became of its runs."""
    outcomes = ", ".join(dict.fromkeys(part.missing for part in parts))
    return f"{task} ({outcomes})" if outcomes else task


def _text(parts: Sequence[TaskScores]) -> Text:
    """Write an average with its interval, its seeds, and how many diverged or were lost."""
    counts = sorted({len(part.scores) for part in parts})
    seeds = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    lost = {
        "diverged": sum(part.diverged for part in parts),
        "lost": sum(part.lost for part in parts),
    }
    rest = "".join(f", {count} {outcome}" for outcome, count in lost.items() if count)
    middle = mean(mean(part.scores) for part in parts)
    return Text(f"{units.plus_minus(middle, _interval(middle, parts))} (n={seeds}{rest})")


def _interval(middle: float, parts: Sequence[TaskScores]) -> Interval | None:
    """Return the 95 % interval of an average of independent means; None if seeds are too few."""
    seeds = np.array([len(part.scores) for part in parts])
    if (seeds == 1).all():
        half = float(np.linalg.norm([part.half for part in parts])) / len(parts)
    elif (seeds > 1).all():
        variances = np.array([np.var(part.scores, ddof=1) for part in parts]) / seeds
        if not variances.any():
            return middle, middle
        freedom = variances.sum() ** 2 / (variances**2 / (seeds - 1)).sum()
        half = float(scipy.special.stdtrit(freedom, 0.975) * np.sqrt(variances.sum())) / len(parts)
    else:
        return None
    return middle - half, middle + half
