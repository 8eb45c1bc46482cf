"""The width at which a model's network has as many parameters as was asked for."""

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch

from harness.contract.batch import Inputs
from harness.contract.model import Model, Recipe
from harness.contract.outputs import Outputs
from harness.contract.task import Task
from harness.core.errors import SpecError
from harness.core.seeding import scope
from harness.nn.backbone import Backbone

NARROWEST, WIDEST = 8, 1 << 15
"""Widths between which is looked; below the first a network is hardly the model any more."""
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
    """Count the trainable numbers of a network; None if the model does without the backbone.

    Such a model is not built: it may look at the task's data, which would be drawn or fetched.

    Raises:
        SpecError: The options do not fit each other, the width or the task.
        UnsupportedError: The model cannot do the task.
    """
    if not isinstance(model, Model):
        return None
    # Numbers without storage are counted in less time; what needs their values fails, and is told
    # from what is refused by the second try.
    with suppress(Exception), torch.device("meta"):
        return _trainable(face, model, width, depth)
    return _trainable(face, model, width, depth)


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
