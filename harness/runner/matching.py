"""The width at which a model's network has as many parameters as was asked for.

Networks are built without storage where that can be, and none for longer than a person would wait.
"""

import signal
import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from types import FrameType
from typing import Any, cast

import torch

from harness.contract.batch import Inputs
from harness.contract.model import Model, Recipe
from harness.contract.outputs import Outputs
from harness.contract.task import Task
from harness.core.errors import SpecError, UnsupportedError
from harness.core.seeding import scope
from harness.nn.backbone import Backbone

NARROWEST, WIDEST = 8, 1 << 15
"""Widths between which is looked; below the first a network is hardly the model any more."""
LONGEST_S = 10.0
"""Seconds after which a network is no longer built to be counted."""
SMALL = 1 << 24
"""Numbers of a network that is built as it is. What builds without storage first loads torch's
compiler, which takes longer than all networks of a sweep."""
REFUSED = 128
"""Widths in a row that a model may refuse, for their heads do not divide them."""


@dataclass(frozen=True)
class Face:
    """What the backbone sees of a task; many tasks have the same."""

    inputs: Inputs
    outputs: Outputs
    max_length: int
    causal: bool

    @classmethod
    def of(cls, task: Task) -> "Face":
        """Return a task's."""
        return cls(task.inputs, task.outputs, task.max_length, task.causal)


@cache
def counted(face: Face, model: Recipe, width: int, depth: int) -> int | None:
    """Count the trainable numbers of a network.

    Returns:
        None if the model does without the backbone, or the network takes too long to build. The
        first is not built: it may look at the task's data, which would be drawn or fetched.

    Raises:
        SpecError: The options do not fit each other, the width or the task.
        UnsupportedError: The model cannot do the task.
    """
    if not isinstance(model, Model):
        return None
    try:
        with at_most(LONGEST_S):
            small = width * depth * max(width, face.max_length, *_sizes(model)) <= SMALL
            build = _trainable if small else _without_storage
            return build(face, model, width, depth)
    except TimeoutError:
        return None


def _sizes(model: Model) -> Iterator[int]:
    """Yield the options of a model that may be sizes."""
    values = (getattr(model, each.name) for each in fields(cast("Any", model)))
    return (value for value in values if isinstance(value, int))


def _without_storage(face: Face, model: Model, width: int, depth: int) -> int:
    """Count in little memory and time; what needs the values of its numbers fails, and has them."""
    try:
        with torch.device("meta"):
            return _trainable(face, model, width, depth)
    except (SpecError, UnsupportedError, TimeoutError):
        raise
    except Exception:
        return _trainable(face, model, width, depth)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Bound what is done here, if this is the main thread, which alone hears signals.

    Raises:
        TimeoutError: It is not done by then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    running = [True]

    def stop(_: int, __: FrameType | None) -> None:
        if running:
            raise TimeoutError

    handler = signal.signal(signal.SIGALRM, stop)
    # More than once, for what is interrupted may swallow an exception.
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, seconds / 20)
    try:
        yield
    finally:
        running.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def _trainable(face: Face, model: Model, width: int, depth: int) -> int:
    with scope(0, "init"):
        network = model.assemble(Backbone, cast("Any", face), width, depth, 0.0)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@cache
def matched(face: Face, model: Recipe, depth: int, parameters: int) -> tuple[int, int] | None:
    """Find the width whose network has the number of parameters nearest to one that is wanted.

    Widths that the model refuses are passed over; a network grows with the others.

    Returns:
        The width and its parameters; None if the model does without the backbone.

    Raises:
        SpecError: No width is accepted.
        UnsupportedError: The model cannot do the task.
    """
    if not isinstance(model, Model):
        return None

    def size(width: int) -> tuple[int, int]:
        """Return the first width from one on that is accepted, and the size of its network."""
        for wider in range(width, width + REFUSED):
            try:
                return wider, counted(face, model, wider, depth) or 0
            except SpecError as error:
                refusal = error
        raise refusal

    high = NARROWEST
    while size(high)[1] < parameters and high < WIDEST:
        high *= 2
    widths = range(max(NARROWEST, high // 2), high + 1)
    above = bisect_left(widths, parameters, key=lambda width: size(width)[1])
    near = [size(width) for width in widths[max(0, above - 1) : above + 1]]
    return min(near, key=lambda found: abs(found[1] - parameters))
