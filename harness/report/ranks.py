"""The tables of who wins over several tasks, and at what cost."""

from collections.abc import Callable, Mapping
from operator import attrgetter

from harness.report import units
from harness.report.tables import Table, Text
from harness.results.aggregate import Cell
from harness.results.ranks import Ranking, Rows, front, ranking

Cost = Callable[[Cell], float | None]


def train_s(cell: Cell) -> float | None:
    """Return the seconds of training, None if other work disturbed them."""
    return None if cell.disturbed else cell.train_s


COSTS: Mapping[str, tuple[Cost, Callable[[float | None], str]]] = {
    "time of training": (train_s, units.seconds),
    "peak memory": (attrgetter("peak_bytes"), units.memory),
    "parameters": (attrgetter("parameters"), units.count),
}
"""What a score may cost, and how it is written."""


def rank_table(rows: Rows) -> Table:
    """Make the table of average ranks; without rows if no two models share two tasks."""
    found = ranking(rows)
    return Table(
        title="Average ranks",
        columns=("Model", "Average rank", "Best on", "Apart from"),
        rows=tuple(_rank_row(found, place) for place in range(len(found.models))) if found else (),
        note=_rank_note(found) if found else "",
        prose=1,
    )


def front_table(rows: Rows) -> Table:
    """Make the table of the models that no other one beats at less cost, a row a task and cost."""
    found = [
        (Text(task), Text(name), Text("; ".join(_priced(cell, cost, write) for cell in best)))
        for task, cells in rows.items()
        for name, (cost, write) in COSTS.items()
        if len(best := front(cells, cost)) > 0 and sum(bool(cost(cell)) for cell in cells) > 1
    ]
    return Table(
        title="Score against cost",
        columns=("Task", "Cost", "Models that none beats at less cost"),
        rows=tuple(found),
        note="From the cheapest to the best: a model is listed if every cheaper one scores less. "
        "By mean scores, without their intervals. Times that other work disturbed are left out.",
        labels=2,
        prose=1,
    )


def _rank_row(found: Ranking, place: int) -> tuple[Text, ...]:
    rank = found.ranks[place]
    apart = [
        model
        for model, other in zip(found.models, found.ranks, strict=True)
        if abs(other - rank) > found.critical
    ]
    firsts = f"{found.firsts[place]} of {len(found.tasks)}"
    return tuple(map(Text, (found.models[place], f"{rank:.2f}", firsts, ", ".join(apart))))


def _rank_note(found: Ranking) -> str:
    p_value = (
        "" if found.p_value is None else f" All rank alike: p = {found.p_value:.3f} (Friedman)."
    )
    absent = ", ".join(f"{model} ({count})" for model, count in found.absent.items())
    lacks = f" Left out, for they lack tasks: {absent}." if absent else ""
    return (
        f"Over the {len(found.tasks)} rows of test scores that all of these models have, by mean "
        f"scores; 1 is the best. Models are apart at 95 % if their ranks differ by more than "
        f"{found.critical:.2f} (Nemenyi).{p_value}{lacks}"
    )


def _priced(cell: Cell, cost: Cost, write: Callable[[float | None], str]) -> str:
    return f"{cell.model} {units.score(cell.mean)} ({write(cost(cell))})"
