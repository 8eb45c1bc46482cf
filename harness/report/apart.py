"""The table of which models the best one of a task is told apart from, example by example."""

from collections.abc import Iterable, Iterator

from harness.report import units
from harness.report.tables import Table, Text
from harness.results.aggregate import Cell, Group, group_cells
from harness.results.by_example import ByExample, adjusted_together, by_example

LEVEL = 0.05

Against = tuple[Cell, Cell, ByExample | None]
"""The best model of a task, another, and how they compare example by example."""


def apart_table(groups: Iterable[Group]) -> Table:
    """Make the table of what the best model of each task is apart from, example by example."""
    found = [pair for group in groups if not group.sweep for pair in _pairs(group)]
    raised = adjusted_together([compared for _, _, compared in found])
    rows: dict[tuple[str, str], list[tuple[str, ByExample]]] = {}
    for (best, other, _), compared in zip(found, raised, strict=True):
        if compared is not None:
            rows.setdefault((best.task, best.model), []).append((other.model, compared))
    return Table(
        title="Example by example",
        columns=("Task", "Best", "Seeds", "Examples", "Errs less than", "Not told apart from"),
        rows=tuple(_row(task, best, others) for (task, best), others in rows.items()),
        note="The model with the best mean score against every other on the same test examples, "
        "with the errors of an example averaged over the seeds that both have: McNemar's exact "
        "test of right and wrong, else a paired permutation test; p raised for all pairs of this "
        f"table (Benjamini and Hochberg), apart below {LEVEL}. In brackets: by how much less it "
        "errs, as a share of what is asked or in squared error. It speaks of the networks that "
        "were trained: another seed may turn it round.",
        labels=2,
        prose=2,
    )


def _pairs(group: Group) -> Iterator[Against]:
    """Yield the best learning model of a group with every other one."""
    cells = [cell for cell in group_cells(group) if cell.mean is not None]
    if len(cells) < 2:
        return
    sign = 1 if cells[0].higher_is_better else -1
    best = max(cells, key=lambda cell: sign * (cell.mean or 0.0))
    members = group.members
    for other in cells:
        if other is not best:
            yield best, other, by_example(members[best.model], members[other.model])


def _row(task: str, best: str, others: list[tuple[str, ByExample]]) -> tuple[Text, ...]:
    seeds, examples = (
        " to ".join(dict.fromkeys((units.count(min(values)), units.count(max(values)))))
        for values in zip(*((each.seeds, each.examples) for _, each in others), strict=True)
    )
    less = [
        f"{model} ({units.score(each.difference)})"
        for model, each in others
        if each.adjusted_p_value < LEVEL and each.difference > 0
    ]
    rest = [model for model, each in others if each.adjusted_p_value >= LEVEL]
    more = [
        f"{model}, which errs less"
        for model, each in others
        if each.adjusted_p_value < LEVEL and each.difference <= 0
    ]
    texts = (task, best, seeds, examples, ", ".join(less), ", ".join([*rest, *more]))
    return tuple(map(Text, texts))
