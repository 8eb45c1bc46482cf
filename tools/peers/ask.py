"""One measurement as a value: what is asked of a child process, and what it answers."""

from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from harness.measure.clock import median_precision

Mode = Literal["time", "memory", "both"]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Something to be measured in a process of its own."""

    mode: Mode
    """`time` interleaves the sides, `memory` weighs one of them, `both` times one, then weighs."""
    sides: tuple[str, ...]
    """What is measured, such as `layer:s4d` or `peer:mambapy`; `sides` knows them."""
    call: Literal["forward", "train", "step"]
    length: int
    """Positions of a sequence, or of the context before a step."""
    width: int = 128
    steps: int = 1
    """Steps that one timed call takes; many, if a layer does a block's work at its end."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was measured, or why nothing was."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Raw seconds of single calls by side, without the first one."""
    peak_bytes: int | None = None
    """Highest resident size of the process during one call."""
    delta_bytes: int | None = None
    """What that call added to it."""
    ceilings: dict[str, float] = field(default_factory=dict)
    """What the machine can do at most, measured in the same process: see `worker.ceilings`."""
    path: str = ""
    """The implementation that ran, as a layer names it."""
    reason: str = ""
    """Why nothing was measured, in words; empty if something was."""

    def median(self, side: str) -> float | None:
        """Return a side's median seconds, None if it was not timed."""
        return median(self.seconds[side]) if self.seconds.get(side) else None

    def precision(self, side: str) -> float | None:
        """Return the relative half-width of the median's 95 % interval."""
        return median_precision(self.seconds.get(side, []))


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What one child process may use."""

    budget_s: float = 60.0
    """Seconds that the calls of one measurement are given together."""
    timeout_s: float = 900.0
    memory_bytes: int = 12 * 2**30
