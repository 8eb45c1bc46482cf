"""Fills in what a request for runs leaves out, and says what each run will need.

The plugins say their options, versions and ladders; the network is built to see that it can be.
"""

from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, cast

from harness.contract.batch import Inputs
from harness.contract.model import Model, Recipe
from harness.contract.outputs import Outputs
from harness.contract.task import Task
from harness.core.config import RunSpec
from harness.core.errors import SpecError, UnsupportedError
from harness.core.messages import Plan, Planned, PlanRequest, Requirements
from harness.core.record import Source
from harness.core.seeding import scope
from harness.data.fetch import missing
from harness.measure import device
from harness.nn.backbone import Backbone
from harness.plugins.code import source_of
from harness.plugins.loading import BrokenPluginError, build, chosen, options
from harness.plugins.registry import registry
from harness.plugins.source import constant


def plan(request: PlanRequest) -> Plan:
    """Fill in versions and protocols, drop defaults, and go up the ladders of bare names."""
    if absent := next(filter(None, map(device.absence, {run.device for run in request.runs})), ""):
        return Plan(error=absent)
    runs: list[Planned] = []
    problems: list[str] = []
    for run in request.runs:
        try:
            runs += planned(run, request)
        except BrokenPluginError as error:
            problems.append(str(error))
        except SpecError as error:
            return Plan(error=str(error))
    return Plan(runs=runs, problems=list(dict.fromkeys(problems)))


def planned(run: RunSpec, request: PlanRequest) -> list[Planned]:
    """Resolve one requested run, which may stand for a ladder of them."""
    plugins = tuple(request.plugins)
    model: Recipe = build("model", run.model, plugins)
    first: Task = build("task", run.task, plugins)
    climbs = {key: values for key, values in first.ladder.items() if key not in run.task.options}
    tasks = [
        replace(cast("Any", first), **dict(zip(climbs, values, strict=True)))
        for values in product(*climbs.values())
    ]
    protocol = (run.protocol or first.protocol).changed(request.changes)
    run = replace(run, protocol=protocol, model=chosen(model))
    return [resolved(run, task, model, request) for task in tasks]


def resolved(run: RunSpec, task: Task, model: Recipe, request: PlanRequest) -> Planned:
    """Return a run whose values are all there."""
    spec, skip = replace(run, task=chosen(task)), model.refusal(task)
    asked = request.requirements and not skip
    rungs = {key: getattr(task, key) for key in task.ladder}
    common = replace(cast("Any", task), **{key: values[0] for key, values in task.ladder.items()})
    return Planned(
        spec=spec,
        task=spec.task.label,
        model=spec.model.label,
        task_options=options(task),
        model_options=options(model),
        sources=sources(spec, tuple(request.plugins)),
        task_version=task.version,
        learns=task.learns,
        averages={name: dict(tasks) for name, tasks in task.averages().items()},
        skip=skip,
        ladder=replace(spec, task=chosen(common)).run_id if rungs else "",
        length=rungs.get("length", 0),
        accelerator=device.accelerator(spec.device),
        requirements=requirements(spec, task, model, tuple(request.plugins)) if asked else None,
    )


def sources(spec: RunSpec, plugins: tuple[str, ...]) -> dict[str, Source]:
    """Return what code the task and the model of a run are."""
    known = registry(plugins)
    return {
        "task": source_of(known.find("task", spec.task.name)),
        "model": source_of(known.find("model", spec.model.name)),
    }


@dataclass(frozen=True)
class Face:
    """What the backbone sees of a task; many tasks have the same."""

    inputs: Inputs
    outputs: Outputs
    max_length: int
    causal: bool


@cache
def training_tasks(plugins: tuple[str, ...]) -> list[str]:
    """Return the tasks that measure training steps, by what their sources say."""
    tasks = registry(plugins).of("task").values()
    return [entry.name for entry in tasks if constant(entry.path, "times_training")]


def requirements(
    spec: RunSpec, task: Task, model: Recipe, plugins: tuple[str, ...]
) -> Requirements:
    """Build the network, which shows whether it can be built, and look for the task's files."""
    face = Face(task.inputs, task.outputs, task.max_length, task.causal)
    protocol = spec.protocol or task.protocol
    try:
        parameters, refusal = counted(face, model, protocol.width, protocol.depth), ""
    except (SpecError, UnsupportedError) as error:
        parameters, refusal = None, str(error)
    return Requirements(
        length=task.max_length,
        documents=task.outputs.documents,
        parameters=parameters,
        measured_by=training_tasks(plugins) if task.learns else [task.name],
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
