"""How far up in length a model goes: predict, then run or record `not-run` with the prediction.

A measured task climbs a ladder of lengths. From what was measured below, a power law says what the
next length will take; where that leaves the budget, or where a run has already failed, longer ones
are not started, so a quadratic model cannot eat what the others need.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from harness.record import FAILURES, Record

CALLS = 3
"""The fewest calls of a measurement: the first, a timed one, and one that is weighed."""


@dataclass
class Frontier:
    """What was measured on each ladder so far."""

    memory_bytes: int
    """The most memory that a run may be predicted to need."""
    climbed: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    fallen: dict[str, str] = field(default_factory=dict)

    def note(self, ladder: str, record: Record) -> None:
        """Learn from a run of a ladder."""
        if record.measured is not None:
            self.climbed[ladder].append(record)
        elif record.outcome in FAILURES or record.outcome == "not-run":
            self.fallen.setdefault(ladder, f"{record.task} ended as {record.outcome}")

    def predict(self, ladder: str, length: int) -> dict[str, float]:
        """Return the seconds and bytes that a run at a length will take; empty if nothing is known.

        The slope of the last two lengths is carried on, with what it grew by before: overheads hide
        a model's exponent at short lengths.
        """
        known = sorted(
            (r.measured.length, r) for r in self.climbed[ladder] if r.measured is not None
        )
        if not known:
            return {}
        calls = [(at, _median(record)) for at, record in known]
        sizes = [(at, float(r.memory.delta_bytes)) for at, r in known if r.memory is not None]
        prediction = {"seconds": CALLS * extrapolated(calls, length)}
        if sizes:
            prediction["bytes"] = extrapolated(sizes, length)
        return prediction

    def refusal(self, ladder: str, prediction: dict[str, float], budget_s: float) -> str:
        """Return why a run should not be started, in a sentence; empty if it should."""
        if ladder in self.fallen:
            return f"A shorter length of this ladder was the last: {self.fallen[ladder]}."
        seconds, size = prediction.get("seconds", 0.0), prediction.get("bytes", 0.0)
        if seconds > budget_s:
            return f"Predicted to take {seconds:.3g} s of a budget of {budget_s:g} s."
        if size > self.memory_bytes:
            return (
                f"Predicted to need {size / 2**30:.3g} GiB where "
                f"{self.memory_bytes / 2**30:.3g} GiB may be used."
            )
        return ""


def _median(record: Record) -> float:
    seconds = sorted(record.measured.call_s) if record.measured else [0.0]
    return seconds[len(seconds) // 2]


def extrapolated(points: list[tuple[int, float]], length: int) -> float:
    """Carry a curve of positive values on to a length, as a power law whose exponent may grow.

    Args:
        points: (length, value) in order of length; one alone is carried on linearly.
        length: Where the value is wanted, at or beyond the last point.
    """
    logs = [(math.log(at), math.log(max(value, 1e-12))) for at, value in points][-3:]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(logs)] or [1.0]
    bend = max(0.0, slopes[-1] - slopes[0])
    slope = min(3.0, max(0.0, slopes[-1] + bend))
    return math.exp(logs[-1][1] + slope * (math.log(length) - logs[-1][0]))
