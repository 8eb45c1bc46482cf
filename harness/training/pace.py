"""How far a training has come, and what follows: its learning rate, its evaluations, its end."""

import math
from dataclasses import dataclass

from harness.core.config import Protocol

UNKNOWN = 1000
"""Steps that a training in seconds is taken to have until its first one is timed."""


def schedule(protocol: Protocol, step: int, total: float) -> float:
    """Return the factor on every learning rate at a step: linear warm-up, then the schedule.

    Args:
        protocol: Says how long the warm-up is, and what follows it.
        step: Counted from 0.
        total: How many there will be.
    """
    warm = max(1, round(protocol.warmup * total))
    if step < warm:
        return (step + 1) / warm
    if protocol.schedule == "constant":
        return 1.0
    done = (step - warm) / max(1, total - warm)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass
class Pace:
    """How far a training has come: by its steps, or by its seconds where these decide."""

    protocol: Protocol
    steps: int = 0
    seconds: float = 0.0
    evaluated: int = 0
    """Evaluations that have been due."""

    @property
    def total(self) -> float:
        """Steps that there will be, if seconds decide as the steps so far say."""
        if self.protocol.steps:
            return self.protocol.steps
        return self.protocol.seconds * self.steps / self.seconds if self.steps else UNKNOWN

    def factor(self, step: int) -> float:
        """Return the factor on every learning rate at a step, counted from 0."""
        return schedule(self.protocol, step, self.total)

    @property
    def over(self) -> bool:
        """Whether the training has come to its end."""
        limits = (self.steps, self.protocol.steps), (self.seconds, self.protocol.seconds)
        return any(limit and at >= limit for at, limit in limits)

    def due(self) -> bool:
        """Say once of every evaluation that it is time for it."""
        at, before = self.steps if self.protocol.steps else self.seconds, self.evaluated
        self.evaluated = sum(mark <= at for mark in evaluation_marks(self.protocol))
        return self.evaluated > before


def evaluation_marks(protocol: Protocol) -> list[float]:
    """Return when validation is scored, evenly spaced: steps, or seconds where these decide."""
    if not protocol.steps:
        share = protocol.seconds / max(1, protocol.evaluations)
        return [share * (number + 1) for number in range(protocol.evaluations)]
    count = min(protocol.evaluations, protocol.steps)
    return [round(protocol.steps * (number + 1) / count) for number in range(count)]
