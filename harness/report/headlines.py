"""What a report says in sentences, before any table: who wins, how surely, what is lacking."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from harness.core.record import Outcome, Record
from harness.report import units
from harness.report.crossing import Crossover
from harness.report.tables import SEEDS, best_model
from harness.results.aggregate import Cell
from harness.results.ranks import Rows, ranking

NAMED = 4
"""The most names in a row of a sentence."""
WHY: Mapping[Outcome, str] = {
    "skipped": "skipped, as the model cannot do the task",
    "not-run": "not run, as they were predicted to leave the budget",
}


def headlines(
    rows: Rows,
    crossings: Sequence[Crossover],
    records: Sequence[Record],
    verdicts: Iterable[str] = (),
) -> list[str]:
    """Say in sentences what the tables show; nothing of what they do not settle.

    Args:
        rows: The cells of every learning task.
        crossings: Who is faster than whom from which length on.
        records: Every run, for what was not run or was lost.
        verdicts: How scores stand to published ones, in a word each.
    """
    fields = {task: found for task, cells in rows.items() if len(found := _learners(cells)) > 1}
    learning = (*_winners(fields), *_ranks(rows), *_unanswered(rows))
    return [*learning, *_overtaken(crossings), *_published(verdicts), *_lost(records)]


def named(names: Iterable[str], joint: str = ", ") -> str:
    """Write names in a row; of many, the first few and how many more there are."""
    every = list(dict.fromkeys(names))
    if len(every) > NAMED:
        every = [*every[: NAMED - 1], f"{len(every) - NAMED + 1} more"]
    return " and ".join(filter(None, (joint.join(every[:-1]), *every[-1:])))


def _learners(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with a score of a model that learns."""
    return [cell for cell in cells if cell.mean is not None and cell.parameters != 0]


def _winners(fields: Rows) -> list[str]:
    """Say who is ahead on which tasks, and on how many nobody is, and why."""
    best = {task: best_model(cells) for task, cells in fields.items()}
    wins = Counter(filter(None, best.values()))
    few = [task for task, cells in fields.items() if any(cell.n < SEEDS for cell in cells)]
    tied = [
        f"{named(_level(cells))} on {task}"
        for task, cells in fields.items()
        if not best[task] and task not in few and any(cell.answers for cell in cells)
    ]
    said = [
        f"{model} is ahead on {count} of {_counted(len(fields), 'task')}, its interval apart from "
        f"all others: {named(task for task, winner in best.items() if winner == model)}."
        for model, count in sorted(wins.items(), key=lambda item: (-item[1], item[0]))
    ]
    if tied:
        said.append(f"Tied, as intervals meet: {named(tied, '; ')}.")
    if few:
        on = "" if len(few) == len(fields) else f" on {named(few)}"
        said.append(f"Nothing is settled{on}: a model there has fewer than {SEEDS} seeds.")
    return said


def _level(cells: Sequence[Cell]) -> list[str]:
    """Return the best model and those whose intervals meet its own, the best first."""
    sign = 1 if cells[0].higher_is_better else -1
    ends = {cell.model: sorted(sign * end for end in cell.interval or ()) for cell in cells}
    ordered = sorted(cells, key=lambda cell: -sign * (cell.mean or 0.0))
    low = ends[ordered[0].model][0]
    return [cell.model for cell in ordered if ends[cell.model][1] >= low]


def _ranks(rows: Rows) -> list[str]:
    """Say who ranks best over all tasks, and from whom that tells it apart."""
    found = ranking(rows)
    if found is None:
        return []
    first = found.ranks[0]
    level = [
        model
        for model, rank in zip(found.models, found.ranks, strict=True)
        if rank - first <= found.critical
    ][1:]
    rest = f"not apart from {named(level)}" if level else "apart from all others"
    over = f"Over the {len(found.tasks)} tasks that {len(found.models)} models share"
    return [f"{over}, {found.models[0]} ranks best ({first:.2f} on average), {rest} at 95 %."]


def _unanswered(rows: Rows) -> list[str]:
    """Name the tasks that no model answers better than chance and shortcuts do."""
    learners = {task: found for task, cells in rows.items() if (found := _learners(cells))}
    nobody = [task for task, found in learners.items() if not any(c.answers for c in found)]
    if not nobody:
        return []
    return [f"No model is a point above chance and the shortcuts on {named(nobody)}."]


def _overtaken(crossings: Sequence[Crossover]) -> list[str]:
    """Say of each measured task which model most others overtake, and from which lengths on."""
    settled = [each for each in crossings if each.length is not None and each.interval is not None]
    said = []
    for task in dict.fromkeys(each.task for each in settled):
        here = [each for each in settled if each.task == task]
        (slower, _), *_ = Counter(each.slower for each in here).most_common(1)
        passed = sorted((each.length or 0.0, each.faster) for each in here if each.slower == slower)
        by = named(f"{faster} from length {units.count(length)} on" for length, faster in passed)
        said.append(f"On {task}, {slower} is overtaken by {by}.")
    return said


def _published(verdicts: Iterable[str]) -> list[str]:
    """Count how measured scores stand to published ones."""
    counts = [f"{count} {word}" for word, count in sorted(Counter(verdicts).items())]
    return [f"Scores beside published ones: {named(counts)}."] if counts else []


def _lost(records: Sequence[Record]) -> list[str]:
    """Say how many runs have no result, and why."""
    outcomes = Counter(record.outcome for record in records if record.outcome != "ok")
    whys = [f"{count} {WHY.get(name, name)}" for name, count in outcomes.most_common()]
    total = f"{sum(outcomes.values())} of {_counted(len(records), 'run')}"
    return [f"{total} have no result: {'; '.join(whys)}."] if whys else []


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)
