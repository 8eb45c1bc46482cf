"""Where results come from: what all records share, and what differs between them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.core.record import Record
from harness.report import units

FACTS: Mapping[str, str] = {
    "commit": "Commit",
    "dirty": "Uncommitted changes",
    "packages": "Packages",
    "python": "Python",
    "system": "System",
    "processor": "Processor",
    "cores": "Cores",
    "ram_bytes": "Memory",
    "threads": "Threads",
    "waiting": "Threads wait",
    "allocator": "Allocator",
    "load": "Load before a run",
    "selftest": "Instrument self-test",
}


def provenance(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return what is known of code, machine and time, by name; differing values are all named."""
    devices = _joined(record.spec.device for record in records)
    times = sorted(time for record in records for time in (record.started, record.ended) if time)
    facts = [(title, _fact(name, records)) for name, title in FACTS.items()]
    spans = [
        ("Device", devices),
        ("Run", _span(times)),
    ]
    return [(title, text) for title, text in (*facts, *spans) if text]


def _fact(name: str, records: Iterable[Record]) -> str:
    if name == "load":
        loads = sorted(r.machine["before"]["load"] for r in records if "before" in r.machine)
        return _span([f"{load:.1f}" for load in loads])
    return _joined(_written(name, r.machine[name]) for r in records if name in r.machine)


def _written(name: str, value: Any) -> str:
    if name == "ram_bytes":
        return units.memory(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "selftest":
        return _verdict(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return "unknown" if value in (None, "") else str(value)


def _verdict(found: Mapping[str, Any]) -> str:
    """Write the self-test's largest errors and what it flagged."""
    errors = f"memory off by {found['memory_error']:.1%}, time by {found['time_error']:.1%}"
    return "; ".join((errors, *found["flags"]))


def _span(ordered: Sequence[str]) -> str:
    """Write the first and the last."""
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1]))) if ordered else ""


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
