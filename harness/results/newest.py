"""Which records count: of the code that a plugin has now, and of no trial. No torch."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.core.record import Record


class Newest(NamedTuple):
    """Records in which every plugin is one piece of code, and what had to be left out for that."""

    records: list[Record]
    older: list[Record]


def newest(records: Iterable[Record]) -> Newest:
    """Keep the records of each plugin's latest code: what changed between runs is not the same.

    The latest is that of the run that began last. Plugins of this project have no digests, but
    versions, which are part of what is asked. Trials are left out without a word: the records of
    the runs that they decided hold them.
    """
    every = [record for record in records if not record.trial]
    latest: dict[tuple[str, str], str] = {}
    for record in sorted(every, key=lambda record: record.started):
        latest.update(_codes(record))
    kept = [all(latest[key] == code for key, code in _codes(each).items()) for each in every]
    return Newest(
        [record for record, keeps in zip(every, kept, strict=True) if keeps],
        [record for record, keeps in zip(every, kept, strict=True) if not keeps],
    )


def left_out(older: Sequence[Record]) -> str:
    """Say in a sentence which records are not shown; nothing if all are."""
    counts = Counter(f"{record.model} on {record.task}" for record in older)
    listed = ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
    return listed and (
        f"Left out: older records, made before the code of a plugin changed ({listed})."
    )


def _codes(record: Record) -> dict[tuple[str, str], str]:
    names = {"task": record.spec.task.name, "model": record.spec.model.name}
    return {(kind, name): record.digests[kind] for kind, name in names.items()}
