"""The time of each step of a training, on a device that may still be at work when a step returns.

Asking such a device anything costs the time until it has done all that it was given, in which
nothing new is prepared for it. So its steps are timed where they run, and are asked for together.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, final

import torch

from harness.measure.clock import now

T = TypeVar("T")


class Stopwatch(ABC):
    """Times steps, and says how many may be given to the device before anybody asks it."""

    most: ClassVar[int]
    """Steps that are read together at most."""

    @abstractmethod
    def time(self, step: Callable[[], T]) -> T:
        """Do a step, and return what it returns."""

    @abstractmethod
    def read(self) -> list[float]:
        """Return the seconds of each step since the last reading, all of which are then done."""


@final
class Clock(Stopwatch):
    """For a CPU, where a step has ended when it returns."""

    most = 1

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def time(self, step: Callable[[], T]) -> T:
        """Read the clock before and after a step."""
        start = now()
        result = step()
        self.seconds.append(now() - start)
        return result

    def read(self) -> list[float]:
        """Return what was noted."""
        seconds, self.seconds = self.seconds, []
        return seconds


def timing_event() -> Any:
    """Return an event of CUDA that notes the time at which the device comes to it."""
    return torch.cuda.Event(enable_timing=True)


@final
class Events(Stopwatch):
    """For CUDA: an event before each step and one after it, among what the device is given."""

    most = 16

    def __init__(self, event: Callable[[], Any] = timing_event) -> None:
        self.event = event
        self.pairs: list[tuple[Any, Any]] = []

    def time(self, step: Callable[[], T]) -> T:
        """Let the device note when it begins and when it has done a step; wait for neither."""
        start, end = self.event(), self.event()
        start.record()
        result = step()
        end.record()
        self.pairs.append((start, end))
        return result

    def read(self) -> list[float]:
        """Wait for the last step, and return what the device noted."""
        pairs, self.pairs = self.pairs, []
        pairs[-1][1].synchronize()
        return [start.elapsed_time(end) * 1e-3 for start, end in pairs]
