"""How cost grows with the backbone's width and with a model's state, at one length each."""

from collections.abc import Iterable

from harness.core.record import Record
from harness.report import units
from harness.report.scaling import Point, Series, power_law
from harness.report.tables import RATIOS, Table, Text, exponent
from harness.results.aggregate import condition

SIZES = ("width", "state")
"""A number of the protocol, and an option of many models; no model has both as options."""


def size_table(records: Iterable[Record]) -> Table:
    """Make the table of how time and memory grow with width and with state."""
    every = list(records)
    rows = [_row(each, size) for size in SIZES for each in size_series(every, size)]
    return Table(
        title="Growth with width and state",
        columns=("Task", "Model", "Over", "From", "To", "Call", "Time ~ xᵃ: a", "Memory ~ xᵇ: b"),
        rows=tuple(rows),
        note="Runs that differ in nothing but this size. Call: the median at its smallest and at "
        "its largest. Exponents as for length: over the largest sizes, four at most. " + RATIOS,
        labels=3,
    )


def size_series(records: Iterable[Record], size: str) -> list[Series]:
    """Return the measurements that differ in nothing but a size, where there are two or more.

    Args:
        records: Any; those without a measurement, or with a disturbed one, are left out. Of
            repeated ones the last counts.
        size: One of `SIZES`.
    """
    found: dict[tuple[object, ...], dict[int, Record]] = {}
    for record in sorted(records, key=lambda record: record.started):
        if record.measured is None or record.disturbed:
            continue
        held = dict(condition(record))
        value = {**held, **record.model_options}.get(size)
        held.pop(size, None)
        if isinstance(value, int):
            key = record.task, record.spec.model.without(size), record.place, *held.items()
            found.setdefault(key, {})[value] = record
    return [_series(points, size) for points in found.values() if len(points) > 1]


def _series(records: dict[int, Record], size: str) -> Series:
    points = tuple(Point(at, (record,)) for at, record in sorted(records.items()))
    first = points[0].record
    return Series(first.task, first.model.without(size), points)


def _row(each: Series, size: str) -> tuple[Text, ...]:
    """Write one series."""
    time = power_law((point.at, point.seconds) for point in each.points)
    memory = power_law((point.at, point.delta_bytes) for point in each.points)
    small, large = each.points[0], each.points[-1]
    calls = f"{units.seconds(small.seconds)} to {units.seconds(large.seconds)}"
    reach = units.count(small.at), units.count(large.at)
    protocol = small.record.spec.protocol
    over = f"state, width {protocol.width}" if protocol and size == "state" else size
    texts = each.task, each.model, over, *reach, calls, exponent(time), exponent(memory)
    return tuple(map(Text, texts))
