"""The protocol in full: what all rows of the tables share, and a table of what differs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.config import Protocol, show
from harness.report import units
from harness.report.tables import Table, Text
from harness.results.aggregate import Group

MEASURED = ("version", "batch", "width", "depth", "precision", "budget_s", "match")
"""Of a protocol, what a measurement heeds."""
UNSET: Mapping[str, str] = {
    "steps": "as many as fit",
    "seconds": "any",
    "lr": "the recipe's",
    "clip": "none",
    "match": "none",
    "sweep": "none",
    "pretrain": "none",
    "timeout_s": "none",
    "memory_bytes": "none",
}
"""What 0, or nothing, says."""
WORDS: Mapping[str, str] = {
    "lr": "learning rate",
    "seconds": "timed seconds",
    "clip": "gradient clip",
    "timeout_s": "time limit in seconds",
    "memory_bytes": "memory limit",
    "version": "protocol version",
}
EACH = "chosen for each model"
Rows = Mapping[str, Mapping[str, str]]
"""Every field of what was asked for, by the titles of the groups."""


def protocol(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Return what all trainings share, and what all measurements do."""
    return [
        (f"Every {kind}", ", ".join(f"{name} {text}" for name, text in _shared(rows).items()))
        for kind, rows in _kinds(groups).items()
    ]


def protocol_tables(groups: Sequence[Group]) -> list[Table]:
    """Make the tables of what differs between trainings, and between measurements."""
    return [_table(kind, rows) for kind, rows in _kinds(groups).items()]


def _table(kind: str, rows: Rows) -> Table:
    shared = _shared(rows)
    columns = [name for name in next(iter(rows.values())) if name not in shared]
    alike: dict[tuple[str, ...], list[str]] = {}
    for title, fields in rows.items():
        alike.setdefault(tuple(fields[name] for name in columns), []).append(title)
    return Table(
        title=f"What differs between {kind}s",
        columns=("Tasks", *columns),
        rows=tuple(
            (Text(", ".join(titles)), *map(Text, texts))
            for texts, titles in alike.items()
            if columns
        ),
        note="All else is the same, and no row of another table mixes what differs.",
    )


def _kinds(groups: Sequence[Group]) -> dict[str, Rows]:
    found = {
        "training": {group.title: _fields(group) for group in groups if not group.sweep},
        "measurement": {group.title: _fields(group) for group in groups if group.sweep},
    }
    return {kind: rows for kind, rows in found.items() if rows}


def _shared(rows: Rows) -> dict[str, str]:
    """Return the fields that are the same in all rows."""
    first, *rest = rows.values()
    return {name: text for name, text in first.items() if all(each[name] == text for each in rest)}


def _fields(group: Group) -> dict[str, str]:
    """Write what was asked for in a group; its records differ in model, seed and limits only."""
    spec = group.records[0].spec
    protocol = spec.protocol or Protocol()
    limits = [dataclasses.asdict(record.limits) for record in group.records]
    fields = {
        WORDS.get(name, name): EACH if name in protocol.derived else _written(name, value)
        for name, value in dataclasses.asdict(protocol).items()
        if (name in MEASURED if group.sweep else name not in {"budget_s", "trial"})
    }
    bounds = {
        WORDS[name]: " or ".join(dict.fromkeys(_written(name, limit[name]) for limit in limits))
        for name in limits[0]
    }
    seeds = _run_together({record.spec.seed for record in group.records})
    return {**fields, "seeds": seeds, "device": spec.device, **bounds}


def _written(name: str, value: Any) -> str:
    if not value and name in UNSET:
        return UNSET[name]
    return units.memory(value) if name == "memory_bytes" else show(value)


def _run_together(seeds: set[int]) -> str:
    """Write seeds, without gaps as a range."""
    first, last = min(seeds), max(seeds)
    whole = len(seeds) == last - first + 1
    return f"{first} to {last}" if whole and last > first else ", ".join(map(str, sorted(seeds)))
