"""How far up in length a model goes: predict, then run or record `not-run` with the prediction.

A measured task climbs a ladder of lengths. What was measured below says what the next length
will take; where that leaves the budget, or where a run has already failed, longer ones
are not started, so a quadratic model cannot eat what the others need.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from harness.core.record import FAILURES, Record

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
        """Return the seconds and bytes a run at a length will take; empty if nothing is known."""
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
    """Carry a cost on to a longer length; the arguments are those of `parts`."""
    return sum(parts(points, length))


def parts(points: list[tuple[int, float]], length: int) -> tuple[float, float, float]:
    """Return what a cost at a length is made of: a constant, a linear and a quadratic part.

    The parts, none of them negative, are fitted to the last three points with equal relative
    weight: overheads, linear-time layers and attention are what a sequence model's cost is made of.

    Args:
        points: (length, cost) in order of length; one alone is carried on linearly.
        length: Where the cost is wanted.
    """
    import numpy as np  # noqa: PLC0415 - the command line starts without
    from scipy.optimize import nnls  # noqa: PLC0415 - the same

    if len(points) == 1:
        return 0.0, points[0][1] * length / points[0][0], 0.0
    at = np.array([point[0] for point in points[-3:]]) / length
    cost = np.maximum([point[1] for point in points[-3:]], 1e-12)
    constant, linear, quadratic = nnls(
        np.stack([at**0, at, at**2], 1) / cost[:, None], np.ones(len(cost))
    )[0]
    return float(constant), float(linear), float(quadratic)
