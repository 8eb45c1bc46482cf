"""How far up in length a model goes: predict, then run or record `not-run` with the prediction.

A measured task goes up a ladder of lengths. The cost curve of what was measured below says what the
next length will take; where that leaves the budget, or where a run has already failed, longer ones
are not started, so a quadratic model cannot eat what the others need.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.core.messages import Planned
from harness.core.record import FAILURES, Record
from harness.costs.curves import CostCurve

CALLS = 3
"""The fewest calls of a measurement: the first, a timed one, and one that is weighed."""
SETTLING = 1 / 16
"""Share of a measurement's budget that calls are repeated for before they count."""


@dataclass
class Frontier:
    """What was measured on each ladder so far."""

    memory_bytes: float
    """The most memory that a run may be predicted to need."""
    measured: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[str, str] = field(default_factory=dict)
    """Ladders on which nothing longer is started, and why, in a clause."""

    def note(self, planned: Planned, record: Record) -> None:
        """Learn from a run, if it belongs to a ladder."""
        if planned.ladder and record.measured is not None:
            self.measured[planned.ladder].append(record)
        elif planned.ladder and (record.outcome in FAILURES or record.outcome == "not-run"):
            self.ended.setdefault(planned.ladder, f"{record.task} ended as {record.outcome}")

    def predict(self, planned: Planned) -> dict[str, float]:
        """Return the seconds and bytes that a run will take; empty if nothing is known."""
        if not self.measured[planned.ladder]:
            return {}
        # Where others disturbed every length so far, the next one is not likely to be quicker.
        known = self.measured[planned.ladder]
        curve = CostCurve(undisturbed(known) or known)
        call = curve.at(curve.size._replace(length=planned.length))
        size = {} if call.bytes is None else {"bytes": call.bytes}
        return {"seconds": CALLS * call.seconds, **size}

    def refusal(self, planned: Planned, prediction: Mapping[str, float]) -> str:
        """Return why a run should not be started, in a sentence; empty if it should."""
        if planned.ladder in self.ended:
            return f"A shorter length of this ladder was the last: {self.ended[planned.ladder]}."
        budget_s = planned.spec.protocol.budget_s if planned.spec.protocol else math.inf
        excess = over_budget(prediction, budget_s, self.memory_bytes)
        slow = prediction.get("seconds", 0.0) > budget_s
        busy = slow and not undisturbed(self.measured[planned.ladder])
        return f"{excess} That is from times of a busy machine." if busy else excess


def undisturbed(records: list[Record]) -> list[Record]:
    """Return those that no other work disturbed, as far as anybody knows."""
    return [record for record in records if not record.disturbed]


def over_budget(prediction: Mapping[str, float], budget_s: float, memory_bytes: float) -> str:
    """Say in a sentence which budget a prediction exceeds; nothing if it keeps to both."""
    seconds, size = prediction.get("seconds", 0.0), prediction.get("bytes", 0.0)
    if seconds > budget_s:
        return f"Predicted to take {seconds:.3g} s of a budget of {budget_s:g} s."
    if size > memory_bytes:
        available = f"{memory_bytes / 2**30:.3g} GiB may be used"
        return f"Predicted to need {size / 2**30:.3g} GiB where {available}."
    return ""
