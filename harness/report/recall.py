"""How much of what was read a state has kept: bits that were recalled, for each byte of it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from harness.core.record import Record
from harness.report import units
from harness.report.tables import Table, Text
from harness.results.aggregate import Group
from harness.results.statistics import mean_interval


@dataclass(frozen=True)
class Recall:
    """What the runs of one model recall of one task."""

    task: str
    model: str
    bits: tuple[float, ...]
    """Of all values of a sequence, a number a run."""
    most: float
    """If every value is right."""
    held: tuple[int, ...]
    """Bytes of the state, a number a run: what a sweep chose may differ."""

    @property
    def state_bytes(self) -> float:
        """The bytes of a run, on average."""
        return mean(self.held)

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
                held = tuple(record.state_bytes or 0 for record in runs)
                found.append(Recall(group.title, model, bits, most, held))
    return found


def information(share: float, choices: float) -> float:
    """Return the bits that answers tell of a value, of which such a share is right.

    By Fano's inequality that is the least they tell of one of so many values that are alike likely:
    log2 n - h(e) - e log2(n - 1) with e wrong. Nothing at chance and below, log2 n if all is right.
    """
    wrong = 1 - share
    if share <= 1 / choices:
        return 0.0
    if not wrong:
        return math.log2(choices)
    spread = -share * math.log2(share) - wrong * math.log2(wrong)
    return math.log2(choices) - spread - wrong * math.log2(choices - 1)


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
    rates = [bits / held for bits, held in zip(each.bits, each.held, strict=True)]
    state = units.memory(each.state_bytes)
    numbers = _written(each.bits), units.digits(each.most), state, _written(rates)
    return tuple(map(Text, (each.task, each.model, *numbers)))


def _written(values: Sequence[float]) -> str:
    """Write a mean with three digits, however small, and half its interval."""
    text = f"{mean(values):.3g}"
    if len(values) > 1:
        low, high = mean_interval(values)
        text += f" ± {(high - low) / 2:.2g}"
    return f"{text} (n={len(values)})"
