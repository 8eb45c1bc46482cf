"""What is known of single runs, in few bytes, for the page to show behind its cells."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from harness.core.record import Record
from harness.report import units

Curve = tuple[list[int], list[float]]
POINTS = 32
"""The most points of a curve."""
CELLS = 64
"""The most stretches of test examples whose errors are told apart."""
DARKEST = 9
LOG = 20
"""The last lines of a log that are kept."""


def _score(record: Record) -> str:
    found = record.learned
    if found is None:
        return ""
    low, high = found.interval
    interval = f"[{units.score(low)}, {units.score(high)}] over test examples"
    return (
        f"{found.metric} {units.score(found.score)} {interval}, chance {units.score(found.chance)}"
    )


def _steps(record: Record) -> str:
    if record.learned:
        return units.count(record.learned.steps)
    partial = record.partial
    return f"{partial.step:,} of {partial.steps:,} {partial.status}".strip() if partial else ""


def _seconds(record: Record) -> str:
    if record.measured:
        calls = record.measured.call_s
        return f"{units.seconds(median(calls))} a call (median of {len(calls)})" if calls else ""
    if record.learned is None or not record.learned.step_s:
        return ""
    step = units.seconds(median(record.learned.step_s))
    return f"{units.seconds(record.learned.train_s)} of training, {step} a step"


def _memory(record: Record) -> str:
    found = record.memory
    above = f"{units.memory(found.delta_bytes)} above what was held" if found else ""
    return f"{units.memory(found.peak_bytes)} at the peak, {above}" if found else ""


def _commit(record: Record) -> str:
    changed = " with uncommitted changes" if record.machine.get("dirty") else ""
    return f"{record.machine.get('commit') or 'unknown'}{changed}"


FACTS: Mapping[str, Callable[[Record], str]] = {
    "Task": lambda record: record.task,
    "Model": lambda record: record.model,
    "Seed": lambda record: str(record.spec.seed),
    "Outcome": lambda record: record.outcome,
    "Reason": lambda record: record.reason,
    "Score": _score,
    "Steps": _steps,
    "Time": _seconds,
    "Memory": _memory,
    "Parameters": lambda record: (
        "" if record.parameters is None else units.count(record.parameters)
    ),
    "Disturbed": lambda record: "by other work on the machine" if record.disturbed else "",
    "Path": lambda record: record.path,
    "Machine": lambda record: f"{record.place}, {record.spec.device}",
    "Commit": _commit,
    "Started": lambda record: record.started,
    "Run": lambda record: record.run_id,
}
"""How each fact is written; nothing where it is not known."""


def run_details(records: Sequence[Record]) -> dict[str, Any]:
    """Return what the page shows of each run: facts as places in one list of texts, curves, log."""
    places: dict[str, int] = {}
    runs = [
        {
            "id": record.run_id,
            "details": [places.setdefault(tell(record), len(places)) for tell in FACTS.values()],
            "loss": thinned(_losses(record)),
            "validation": thinned(record.learned.validation if record.learned else []),
            "errors": _errors(record),
            "log": "\n".join(record.partial.traceback[-LOG:]) if record.partial else "",
        }
        for record in records
    ]
    return {"names": list(FACTS), "texts": list(places), "runs": runs}


def thinned(curve: Sequence[tuple[int, float]]) -> Curve:
    """Keep few points of a curve, with its ends, and four digits of each."""
    last = len(curve) - 1
    kept = range(last + 1) if last < POINTS else [last * n // (POINTS - 1) for n in range(POINTS)]
    return [curve[n][0] for n in kept], [float(f"{curve[n][1]:.4g}") for n in kept]


def _errors(record: Record) -> tuple[int, str]:
    """Return how many examples errors are known of, and how much stretches of them err.

    A digit each: 0 where all are right, `DARKEST` where all are wrong; of errors that may be larger
    than 1, where they are largest.
    """
    kept = record.learned and record.learned.per_example
    if not kept:
        return 0, ""
    values, size = kept.values, -(-kept.count // CELLS)
    means = [fmean(values[at : at + size]) for at in range(0, kept.count, size)]
    largest = 1.0 if max(values) <= 1 else max(means)
    return kept.count, "".join(str(round(DARKEST * each / largest)) for each in means)


def _losses(record: Record) -> Sequence[tuple[int, float]]:
    known = record.learned or record.partial
    return known.curve if known else []
