"""How much of what was read a state has kept: bits that were recalled, for each byte of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from harness.core.record import Record
from harness.report import units
from harness.report.tables import Table, Text
from harness.results.aggregate import Group
from harness.results.statistics import information, mean_interval


@dataclass(frozen=True)
class Recall:
    """What the runs of one model recall of one task."""

    task: str
    model: str
    bits: tuple[float, ...]
    """Of all values of a sequence, a number a run."""
    most: float
    """If every value is right."""
    state_bytes: int

    @property
    def share(self) -> float:
        """How much of all is recalled."""
        return mean(self.bits) / self.most


def recalled(groups: Iterable[Group]) -> list[Recall]:
    """Find the models with a state that ran tasks on which values are recalled."""
    found = []
    for group in groups:
        for model, records in group.members.items() if not group.sweep else ():
            if runs := [record for record in records if _counts(record)]:
                bits = tuple(_bits(record) for record in runs)
                most = _bits(runs[0], perfect=True)
                found.append(Recall(group.title, model, bits, most, runs[0].state_bytes or 0))
    return found


def recall_table(found: Sequence[Recall]) -> Table:
    """Make the table of bits and bytes."""
    return Table(
        title="Recalled bits per byte of state",
        columns=("Task", "Model", "Recalled bits", "of all", "State", "Bits per byte"),
        rows=tuple(_row(each) for each in found),
        note="Recalled bits: what the answers tell of all values that a sequence may be asked for, "
        "at least (Fano's inequality); 0 at chance. State: what generation holds for one sequence "
        "of the task's length. Mean over n seeds ± half its 95 % interval.",
        labels=2,
    )


def _counts(record: Record) -> bool:
    return bool(record.learned and record.learned.recalls and record.state_bytes)


def _bits(record: Record, *, perfect: bool = False) -> float:
    """Return what a run recalls, or could."""
    run = record.learned
    assert run is not None
    return run.recalls * information(1.0 if perfect else run.score, 1 / run.chance)


def _row(each: Recall) -> tuple[Text, ...]:
    rates = [bits / each.state_bytes for bits in each.bits]
    bits, rate = (
        f"{units.plus_minus(mean(own), mean_interval(own) if len(own) > 1 else None)} "
        f"(n={len(own)})"
        for own in (each.bits, rates)
    )
    state = units.memory(each.state_bytes)
    return tuple(map(Text, (each.task, each.model, bits, units.digits(each.most), state, rate)))
