"""How far a training has come, and what follows: its learning rate, its evaluations, its end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.config import Protocol

UNKNOWN = 1000
"""Steps that a training in seconds is taken to have until its first one is timed."""

BLOCK_S = 0.2
"""Seconds of steps that are read together, at most: nobody hears of a step much later."""


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

    def took(self, seconds: Sequence[float]) -> None:
        """Count steps that took so many seconds."""
        for each in seconds:
            self.steps += 1
            self.seconds += each

    def ahead(self, most: int, last: Sequence[float]) -> int:
        """Return how many steps may be done now before any of them is read.

        No evaluation is due before the last of them, nor the end. Where seconds decide, that is
        half of the steps that would fit, and so on to the last: they may become slower.

        Args:
            most: What the device allows.
            last: The seconds of the last step, if there was one; the first is read at once.
        """
        protocol, step_s = self.protocol, max([*last, 1e-9]) if last else math.inf
        of_steps, of_seconds = [float(protocol.steps or math.inf)], [protocol.seconds or math.inf]
        (of_steps if protocol.steps else of_seconds).extend(evaluation_marks(protocol))
        free = min(mark for mark in of_steps if mark > self.steps) - self.steps
        left_s = min(mark for mark in of_seconds if mark > self.seconds) - self.seconds
        return max(1, math.floor(min(most, free, BLOCK_S / step_s, left_s / 2 / step_s)))

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
