"""Who wins over several tasks: average ranks, how far models get, and at what cost. No torch.

Ranks compare models on the tasks that all of them have. What has nothing to learn is no opponent.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.results.aggregate import Cell, Group, group_cells
from harness.results.rank_statistics import (
    average_ranks,
    critical_difference,
    friedman_p_value,
)

Rows = Mapping[str, Sequence[Cell]]
"""The cells of every task."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How models rank over tasks, the best first."""

    models: tuple[str, ...]
    ranks: tuple[float, ...]
    """Averages over tasks; 1 is the best of all on every task."""
    firsts: tuple[int, ...]
    """On how many tasks each scores best."""
    tasks: tuple[str, ...]
    critical: float
    """Ranks that differ by more are apart at 95 %, whichever two models they are."""
    p_value: float | None
    """Of all models ranking alike (Friedman); None for two models."""
    absent: Mapping[str, int]
    """Models that lack tasks, and how many of all they have."""


def learned_rows(groups: Iterable[Group]) -> Rows:
    """Return the cells of groups of learning tasks, by their titles."""
    return {group.title: group_cells(group) for group in groups if not group.sweep}


def ranking(rows: Rows) -> Ranking | None:
    """Rank the models that have the same tasks; None if that is fewer than two of either.

    Tasks that nobody answers say nothing. Of the others, models and tasks are left out, whatever
    lacks the largest share of the other, until every model has every task.
    """
    answered = {task: found for task, found in rows.items() if any(c.answers for c in found)}
    scores = {task: _learners(cells) for task, cells in answered.items()}
    tasks, models = _complete(scores)
    if len(tasks) < 2 or len(models) < 2:
        return None
    table = np.array([[scores[task][model] for model in models] for task in tasks])
    ranks = average_ranks(table)
    firsts = (table == table.max(axis=1, keepdims=True)).sum(axis=0)
    order = np.argsort(ranks, kind="stable")
    counts = {
        model: sum(model in found for found in scores.values())
        for model in sorted(set().union(*scores.values()) - set(models))
    }
    return Ranking(
        models=tuple(models[place] for place in order),
        ranks=tuple(float(ranks[place]) for place in order),
        firsts=tuple(int(firsts[place]) for place in order),
        tasks=tuple(tasks),
        critical=critical_difference(len(tasks), len(models)),
        p_value=friedman_p_value(table),
        absent=counts,
    )


def headways(rows: Rows, among: Ranking) -> dict[str, list[float]]:
    """Say how far each ranked model gets on each ranked task: 0 is chance, 1 the best of its row.

    Tasks on which nobody beats chance say nothing and are left out.
    """
    found: dict[str, list[float]] = {model: [] for model in among.models}
    for task in among.tasks:
        scores, chance = _learners(rows[task]), _chance(rows[task])
        best = max(scores[model] for model in among.models)
        if best > chance:
            for model, reached in found.items():
                share = (scores[model] - chance) / (best - chance)
                reached.append(min(1.0, max(0.0, share)))
    return found


def front(cells: Sequence[Cell], cost: Callable[[Cell], float | None]) -> list[Cell]:
    """Return the cells that no other one matches in score at less cost, from the cheapest on."""
    known = [(each, price) for each in cells if (price := cost(each)) and each.mean is not None]
    chosen: list[Cell] = []
    best = -np.inf
    for cell, _ in sorted(known, key=lambda item: (item[1], -_signed(item[0]), item[0].model)):
        if _signed(cell) > best:
            best = _signed(cell)
            chosen.append(cell)
    return chosen


def _complete(scores: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[str]]:
    """Leave out tasks and models until every model has every task."""
    tasks = [task for task in scores if len(scores[task]) > 1]
    models = sorted({model for task in tasks for model in scores[task]})
    while tasks and models:
        gaps = np.array([[model not in scores[task] for model in models] for task in tasks])
        by_model, by_task = gaps.mean(axis=0), gaps.mean(axis=1)
        if not gaps.any():
            break
        if by_model.max() >= by_task.max():
            models.pop(int(by_model.argmax()))
        else:
            tasks.pop(int(by_task.argmax()))
    return tasks, models


def _learners(cells: Sequence[Cell]) -> dict[str, float]:
    return {c.model: _signed(c) for c in cells if c.mean is not None and c.parameters != 0}


def _chance(cells: Sequence[Cell]) -> float:
    known = next((cell for cell in cells if cell.chance is not None), None)
    if known is None or known.chance is None:
        return 0.0
    return known.chance if known.higher_is_better else -known.chance


def _signed(cell: Cell) -> float:
    mean = cell.mean or 0.0
    return mean if cell.higher_is_better else -mean
