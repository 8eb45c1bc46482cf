"""Tables of cells, made once; `formats` and `page` show them in their ways."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.core.grid import parse_match
from harness.core.record import Record
from harness.report import units
from harness.report.crossing import Crossover
from harness.report.held import held_equal
from harness.report.scaling import Point, PowerLaw, Series, power_law
from harness.results.aggregate import Cell, Group, group_cells
from harness.results.newest import left_out

SEEDS = 3
"""Without so many of each model none is called the best."""
RATIOS = (
    "Where that reaches more than a half to either side, or there are two figures only, it could "
    "be linear or quadratic: then `x 13.0 for x 4.00` says how often the last but one fits into "
    "the last, and by how much the two sizes differ."
)
NEAR = 0.02
"""Share of the parameters by which models of a row may differ without a word."""
MOST_NAMED = 6
"""Models on tasks that a note names."""
LONGEST_REASON = 90
"""Characters of a reason inside a table; the list of runs without a result has all of it."""


@dataclass(frozen=True)
class Text:
    """What stands in one place of a table."""

    text: str
    best: bool = False
    """Set in bold: better than every other in its row, intervals apart."""
    missing: bool = False
    """Set apart: why there is no number."""
    runs: tuple[str, ...] = ()
    """The names of the runs that it says something of."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to be shown."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    note: str = ""
    """How to read it."""
    labels: int = 1
    """Columns at the left that name the row."""
    prose: int = 0
    """Columns at the right that hold sentences; those between are numbers."""

    def is_number(self, place: int) -> bool:
        """Say whether a column holds numbers."""
        return self.labels <= place < len(self.columns) - self.prose


def score_table(groups: Iterable[Group]) -> Table:
    """Make the table of tasks x models."""
    learned = [group for group in groups if not group.sweep]
    rows = {group.title: group_cells(group) for group in learned}
    models = sorted({cell.model for found in rows.values() for cell in found})
    ways = any(cell.shortcuts for found in rows.values() for cell in found)
    gaps = any(len(found) < len(models) for found in rows.values())
    return Table(
        title="Test scores",
        columns=("Task", "Metric", "Chance", *models),
        rows=tuple(_score_row(task, found, models) for task, found in rows.items()),
        note="Mean on the test split ± half its 95 % interval: over n seeds (Student's t), or over "
        "the test examples where n is 1. Bold: better than all others that learn, three "
        "seeds each, intervals apart."
        + (" Beside chance: what ways around the question reach." if ways else "")
        + (f" {units.DASH}: never run." if gaps else "")
        + f" {_held(learned)}"
        + _tried_once(cell for found in rows.values() for cell in found),
        labels=2,
    )


def cost_table(groups: Iterable[Group]) -> Table:
    """Make the table of what training took, beside what it gave."""
    learned = [group for group in groups if not group.sweep]
    found = [cell for group in learned for cell in group_cells(group)]
    return Table(
        title="Score and cost of training",
        columns=(
            *("Task", "Model", "Score", "Parameters", "Training", "Step", "Peak memory"),
            "Learned",
        ),
        rows=tuple(_cost_row(cell) for cell in found if cell.n),
        note="Step: median of the timed optimiser steps; training: all of them. Both leave out "
        "data, evaluation and logging. Learned: share of the seeds that beat chance, with its 95 % "
        "interval (Wilson). "
        + _held(learned)
        + units.DISTURBED_NOTE * any(cell.disturbed for cell in found),
        labels=2,
    )


def scaling_table(task: str, found: Iterable[Series]) -> Table:
    """Make the table of length x model of one measured task."""
    points = [(point, each.model) for each in found for point in each.points]
    ordered = sorted(points, key=lambda item: (item[0].at, item[1]))
    return Table(
        title=task,
        columns=("Length", "Model", "Call", "Tokens/s", "Peak", "Above idle", "State", "FLOP"),
        rows=tuple(_point_row(point, model) for point, model in ordered),
        note="Call: median of the timed calls. Peak: highest memory of the process; above idle: "
        "what of it the calls added. State: what generation holds for one sequence. "
        + held_equal(record for point, _ in points for record in point.records)
        + units.DISTURBED_NOTE * any(point.disturbed for point, _ in points),
        labels=2,
    )


def growth_table(found: Iterable[Series]) -> Table:
    """Make the table of how time and memory grow with length."""
    rows = []
    for each in found:
        time = power_law((point.at, point.quiet_seconds) for point in each.points)
        memory = power_law((point.at, point.delta_bytes) for point in each.points)
        longest = time or memory
        if longest is not None:
            reach = f"{units.count(longest.lengths[0])} to {units.count(longest.lengths[-1])}"
            texts = (each.task, each.model, exponent(time), exponent(memory), reach)
            rows.append(tuple(map(Text, texts)))
    return Table(
        title="Growth with length",
        columns=("Task", "Model", "Time ~ Lᵃ: a", "Memory ~ Lᵇ: b", "Lengths"),
        rows=tuple(rows),
        note="Exponents by least squares in log-log over the longest lengths (four at most) with "
        f"95 % intervals from the scatter about the line. {RATIOS} Memory is what was used above "
        "idle.",
        labels=2,
    )


def crossover_table(found: Iterable[Crossover]) -> Table:
    """Make the table of who is faster from which length on."""
    return Table(
        title="Crossovers",
        columns=("Task", "Faster", "Slower", "From length", "95 % interval", ""),
        rows=tuple(
            tuple(map(Text, _crossover_texts(crossing)))
            for crossing in found
            if crossing.length is not None
        ),
        note="From the length given on, the one is faster at every longer length that both ran; "
        "between two lengths by interpolation in log-log, with an interval over resampled calls "
        "and processes. Two models that ran once each are apart where their times differ by more "
        "than a quarter, and by more than a longer call of either was quicker than a shorter; it "
        "takes two such lengths on each side, or one with a factor of 2.4. Other pairs are not "
        "listed.",
        labels=3,
        prose=1,
    )


def missing_table(records: Sequence[Record]) -> Table:
    """Make the list of runs that left no result, with all of every reason."""
    runs: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if record.outcome != "ok":
            key = (record.task, record.model, record.outcome, record.reason or "no reason given")
            runs.setdefault(key, []).append(record)
    return Table(
        title="Runs without a result",
        columns=("Task", "Model", "Outcome", "Seeds", "Reason"),
        rows=tuple(_missing_row(key, found) for key, found in runs.items()),
        note="Skipped: the model says it cannot do the task. Not-run: predicted to leave the "
        "budget. All others were started and lost.",
        labels=3,
        prose=2,
    )


def without_older(table: Table, older: Sequence[Record]) -> Table:
    """Say below a table which records of what it shows are left out of it."""
    shown = {*table.columns, *(cell.text for row in table.rows for cell in row)}
    concerned = [each for each in older if {each.model, each.spec.asked} & shown]
    note = " ".join(filter(None, (table.note, left_out(concerned))))
    return replace(table, note=note)


def exponent(law: PowerLaw | None) -> str:
    """Write a fitted exponent with its interval, or a ratio where that would say nothing."""
    if law is None:
        return units.DASH
    if law.interval is None or not law.settled:
        sizes = law.lengths[-1] / law.lengths[-2]
        return f"x {units.digits(law.ratio)} for x {units.digits(sizes)}"
    low, high = law.interval
    return f"{law.exponent:z.2f} [{low:z.2f}, {high:z.2f}]"


def best_model(found: Sequence[Cell]) -> str:
    """Return the model that is better than every other with intervals apart; else nothing.

    No seed stands for another, so all need three; what has nothing to learn is no opponent. Who
    has no answer wins nothing.
    """
    scored = [cell for cell in found if cell.mean is not None]
    if sum(cell.parameters != 0 for cell in scored) < 2:
        return ""
    if any(cell.n < SEEDS for cell in scored if cell.parameters != 0):
        return ""
    sign = 1 if scored[0].higher_is_better else -1
    ends = {cell.model: sorted(sign * end for end in cell.interval or ()) for cell in scored}
    best = max(scored, key=lambda cell: sign * (cell.mean or 0.0))
    others = (end[1] for model, end in ends.items() if model != best.model)
    return best.model if best.answers and all(ends[best.model][0] > end for end in others) else ""


def _held(groups: Iterable[Group]) -> str:
    """Say what was held equal in all rows of a table."""
    return held_equal(record for group in groups for record in group.records)


def _tried_once(cells: Iterable[Cell]) -> str:
    """Name what did not learn and was tried at one rate, which does not say that it cannot."""
    found = [f"{cell.model} on {cell.task}" for cell in cells if cell.hopeless and not cell.rates]
    listed = ", ".join(found[:MOST_NAMED]) + ", ..." * (len(found) > MOST_NAMED)
    return listed and f" No better than chance, but tried at one learning rate only: {listed}."


def _score_row(task: str, found: Sequence[Cell], models: Sequence[str]) -> tuple[Text, ...]:
    by_model = {cell.model: cell for cell in found}
    best = best_model(found)
    metric = next((cell.metric for cell in found if cell.metric), units.DASH)
    chance = next((cell.chance for cell in found if cell.chance is not None), None)
    ways = next((cell.shortcuts for cell in found if cell.shortcuts), {})
    rungs = [units.score(chance), *(f"{name} {units.score(at)}" for name, at in ways.items())]
    texts = [_score_text(by_model.get(model), best=model == best) for model in models]
    return (Text(task), Text(metric), Text(", ".join(rungs)), *texts)


def _score_text(cell: Cell | None, *, best: bool) -> Text:
    if cell is None:
        return Text(units.DASH, missing=True)
    if cell.mean is None:
        outcomes = ", ".join(cell.missing)
        reason = shortened(cell.reasons[0]) if cell.reasons else ""
        return Text(": ".join(filter(None, (outcomes, reason))), missing=True, runs=cell.runs)
    lost = f", {cell.lost} lost" if cell.lost else ""
    text = f"{units.plus_minus(cell.mean, cell.interval)} (n={cell.n}{lost})"
    return Text(text, best=best, runs=cell.runs)


def _cost_row(cell: Cell) -> tuple[Text, ...]:
    score = f"{units.plus_minus(cell.mean or 0.0, cell.interval)} (n={cell.n})"
    numbers = (
        _parameters(cell),
        units.timed(units.seconds(cell.train_s), disturbed=cell.disturbed),
        units.timed(units.seconds(cell.step_s), disturbed=cell.disturbed),
        units.memory(cell.peak_bytes),
        _learned(cell),
    )
    named = Text(cell.task), Text(cell.model), Text(score, runs=cell.runs)
    return (*named, *map(Text, numbers))


def _parameters(cell: Cell) -> str:
    """Write how many there are, and how far they are from those that were asked for."""
    written = units.count(cell.parameters)
    if not (cell.match and cell.parameters):
        return written
    off = cell.parameters / parse_match(cell.match) - 1
    far = f" ({abs(off):.1%} {'above' if off > 0 else 'below'})" if abs(off) > NEAR else ""
    return written + far


def _learned(cell: Cell) -> str:
    """Write the share of seeds that learned; where none did, at how many rates."""
    if cell.learned is None or cell.learned_interval is None:
        return units.DASH
    low, high = cell.learned_interval
    tried = f" of {cell.rates} rates" if cell.rates else " at one rate"
    return f"{cell.learned:.0%} [{low:.0%}, {high:.0%}]" + tried * cell.hopeless


def _point_row(point: Point, model: str) -> tuple[Text, ...]:
    record = point.record
    measured, memory = record.measured, record.memory
    runs = tuple(each.run_id for each in point.records)
    call = Text(_absence(record), missing=True, runs=runs)
    if measured:
        time = units.timed(units.seconds(point.seconds), disturbed=point.disturbed)
        call = Text(time, runs=runs)
    numbers = (
        units.timed(units.scaled(point.tokens_per_s), disturbed=point.disturbed),
        units.memory(memory.peak_bytes if memory else None),
        units.memory(point.delta_bytes),
        units.memory(record.state_bytes),
        units.scaled(measured.flops if measured else None),
    )
    return (Text(units.count(point.at)), Text(model), call, *map(Text, numbers))


def _missing_row(key: tuple[str, ...], found: Sequence[Record]) -> tuple[Text, ...]:
    task, model, outcome, reason = key
    seeds = ", ".join(str(record.spec.seed) for record in found)
    runs = tuple(record.run_id for record in found)
    return (Text(task), Text(model), Text(outcome, runs=runs), Text(seeds), Text(reason))


def _absence(record: Record) -> str:
    """Say why there is no measurement: the prediction, or else the reason."""
    known = record.prediction if record.outcome == "not-run" else {}
    forecast = [
        write(known[name])
        for name, write in (("seconds", units.seconds), ("bytes", units.memory))
        if name in known
    ]
    reason = f"predicted {', '.join(forecast)}" if forecast else shortened(record.reason)
    return f"{record.outcome}: {reason}" if reason else record.outcome


def _crossover_texts(crossing: Crossover) -> tuple[str, ...]:
    interval = units.DASH
    if crossing.interval is not None:
        low, high = (
            units.count(end) if end < float("inf") else "open" for end in crossing.interval
        )
        interval = f"{low} to {high}"
    names = (crossing.task, crossing.faster, crossing.slower)
    return (*names, units.count(crossing.length), interval, crossing.reason)


def shortened(reason: str) -> str:
    """Cut a reason to what a table has room for."""
    fits = len(reason) <= LONGEST_REASON
    return reason if fits else reason[: LONGEST_REASON - 1].rstrip() + "…"
