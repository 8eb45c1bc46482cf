"""What models of one row have in common, in a sentence: no table may leave it to be guessed."""

from collections.abc import Iterable

from harness.core.config import Protocol
from harness.core.grid import parse_match
from harness.core.record import Record
from harness.report import units


def held_equal(records: Iterable[Record]) -> str:
    """Say what was held equal in each row, and what was chosen for each model; nothing of none."""
    every = list(records)
    used = list(dict.fromkeys(record.spec.protocol for record in every if record.spec.protocol))
    if not used:
        return ""
    matches = [
        f"parameters ({parse_match(match):,}, for which each width is chosen)"
        if match
        else f"width ({_span(each.width for each in used)})"
        for match in dict.fromkeys(each.match for each in used)
    ]
    depth, batch = (
        f"{name} ({_span(getattr(each, name) for each in used)})" for name in ("depth", "batch")
    )
    trained = _training(used) if any(record.learns for record in every) else []
    other = "" if all(each.match for each in used) else "; not parameters"
    swept = sorted({name for each in used for name in each.swept})
    chosen = f" Chosen for each model on validation: {', '.join(swept)}." if swept else ""
    return (
        f"Held equal within a row: {', '.join([*matches, depth, *trained, batch])}{other}.{chosen}"
    )


def _training(used: list[Protocol]) -> list[str]:
    """Say how long trainings are: steps, which seconds may end, or seconds."""
    counted = [each for each in used if each.steps]
    timed = [each.seconds for each in used if not each.steps]
    ends = [each.seconds for each in counted if each.seconds]
    end = f"; {_span(ends)} s may end them" if ends else ""
    steps = [f"steps ({_span(each.steps for each in counted)}{end})"] if counted else []
    return steps + ([f"seconds of training ({_span(timed)})"] if timed else [])


def _span(values: Iterable[float]) -> str:
    """Write a number, or the least and the most."""
    ordered = sorted(values)
    return " to ".join(dict.fromkeys((units.count(ordered[0]), units.count(ordered[-1]))))
