"""What a run will need, said by the child that plans it: its size, files to fetch."""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from harness.api import Task
from harness.backbone import Backbone
from harness.contract.data import Inputs
from harness.contract.model import Model, Recipe
from harness.contract.outputs import Outputs
from harness.fetch import missing
from harness.job import Prospect
from harness.seeding import scope
from harness.spec import Protocol, SpecError, UnsupportedError


@dataclass(frozen=True)
class Face:
    """What the backbone sees of a task; many tasks have the same."""

    inputs: Inputs
    outputs: Outputs
    max_length: int
    causal: bool


def prospect(task: Task, model: Recipe, protocol: Protocol) -> Prospect:
    """Build the network, which shows whether it can be built, and look for the task's files."""
    face = Face(task.inputs, task.outputs, task.max_length, task.causal)
    try:
        parameters, refusal = counted(face, model, protocol.width, protocol.depth), ""
    except (SpecError, UnsupportedError) as error:
        parameters, refusal = None, str(error)
    return Prospect(
        length=task.max_length,
        documents=task.outputs.documents,
        parameters=parameters,
        files={file.name: file.size for file in missing(task.files())},
        refusal=refusal,
    )


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
    with scope(0, "init"):
        network = model.assemble(Backbone, cast("Any", face), width, depth, 0.0)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
