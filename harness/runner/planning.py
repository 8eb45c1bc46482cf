"""Fills in what a request for runs leaves out, and says what each run will need.

The plugins say their options, versions and ladders; networks are built to see that they can be, and
to match their sizes. What a sweep chooses is left open, after the trials that will say it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any, cast

from msgspec import structs

from harness.contract.model import Recipe
from harness.contract.task import Task
from harness.core import codec
from harness.core.config import Option, Protocol, RunSpec, checked_options
from harness.core.errors import SpecError, UnsupportedError, brief
from harness.core.grid import FIELDS, parse_grid, parse_match, points, refuse_unknown, settled
from harness.core.messages import Plan, Planned, PlanRequest, Requirements
from harness.core.record import Source
from harness.data.fetch import missing
from harness.measure import device
from harness.plugins.code import source_of
from harness.plugins.loading import BrokenPluginError, build, chosen, options
from harness.plugins.registry import registry
from harness.plugins.source import constant
from harness.runner.matching import Face, counted, matched
from harness.training.pretraining import refusal

FARTHEST = 0.1
"""Share of the parameters that are asked for by which a network may miss them and still be run."""


def ignore(_: int) -> None:
    """Tell nobody."""


def plan(request: PlanRequest, tell: Callable[[int], None] = ignore) -> Plan:
    """Fill in versions and protocols, drop defaults, and go up the ladders of bare names.

    Args:
        request: Runs as they were written.
        tell: Called with each run's place before it is planned.
    """
    wanted = set() if request.elsewhere else {run.device for run in request.runs}
    if absent := next(filter(None, map(device.absence, wanted)), ""):
        return Plan(error=absent)
    runs: list[Planned] = []
    problems: list[str] = []
    first: dict[RunSpec, int] = {}
    try:
        for place, run in enumerate(request.runs):
            tell(place)
            seed = first.setdefault(replace(run, seed=0), run.seed)
            try:
                runs += [storable(each) for each in blamed(run, request, seed)]
            except BrokenPluginError as error:
                problems.append(str(error))
        refuse_unswept(runs)
    except SpecError as error:
        return Plan(error=str(error))
    return Plan(runs=runs, problems=list(dict.fromkeys(problems)))


def blamed(run: RunSpec, request: PlanRequest, first_seed: int) -> list[Planned]:
    """Resolve a run; what is raised that is no user's mistake is one of its plugins' own.

    Raises:
        BrokenPluginError: A plugin raises anything else, or would end the process.
        SpecError: Something in the run is wrong.
    """
    try:
        return planned(run, request, first_seed)
    except SpecError:
        raise
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {brief(error)}"
        raise BrokenPluginError(f"{run.model} on {run.task} cannot be planned: {why}") from error


def storable(run: Planned) -> Planned:
    """Return a planned run that its parent can read.

    Raises:
        BrokenPluginError: A plugin says something of itself of another form.
    """
    try:
        return codec.checked(run)
    except SpecError as error:
        raise BrokenPluginError(f"{run.model} on {run.task} cannot be run: {error}.") from error


def refuse_unswept(runs: list[Planned]) -> None:
    """Check that every name in a sweep is one that a protocol, or any of the models, has.

    Raises:
        SpecError: One is not.
    """
    known = {name for run in runs for name in run.model_options}
    for sweep in {run.spec.protocol.sweep for run in runs if run.spec.protocol}:
        refuse_unknown(parse_grid(sweep), known)


def planned(run: RunSpec, request: PlanRequest, first_seed: int) -> list[Planned]:
    """Resolve one requested run, which may stand for a ladder of them, and for trials before each.

    Args:
        run: As a person or a preset wrote it.
        request: What it is part of.
        first_seed: Of the trials, which all seeds of the request share.

    Raises:
        SpecError: Something in it is wrong.
    """
    plugins = tuple(request.plugins)
    model: Recipe = build("model", run.model, plugins)
    first: Task = build("task", run.task, plugins)
    climbs = {key: values for key, values in first.ladder.items() if key not in run.task.options}
    tasks = [
        replace(cast("Any", first), **dict(zip(climbs, values, strict=True)))
        for values in product(*climbs.values())
    ]
    protocol = settled((run.protocol or first.protocol).changed(request.changes))
    run = replace(run, protocol=protocol)
    runs = []
    for task in tasks:
        final = resolved(run, task, model, request)
        trials = trials_of(replace(run, seed=first_seed), task, model, request)
        final = structs.replace(final, trials=[trial.spec.run_id for trial in trials])
        runs += [*trials, final]
    return runs


def trials_of(run: RunSpec, task: Task, model: Recipe, request: PlanRequest) -> list[Planned]:
    """Return a run for each point of its sweep; a model goes without the options that it lacks.

    One that trains nothing has no trials: no value of them could make it better.

    Raises:
        SpecError: The task has nothing to choose by, or a value cannot be.
    """
    assert run.protocol is not None
    if model.refusal(task) or not model.trains:
        return []
    given, held = run.model.options, options(model)
    grid = {
        name: values
        for name, values in parse_grid(run.protocol.sweep).items()
        if name in FIELDS or name in held
    }
    if grid and not task.learns:
        raise SpecError(
            f"{task.name!r} trains nothing, so nothing can be chosen by a sweep; "
            "leave it out, or give the values one by one."
        )
    if twice := [name for name in grid if name in given and name not in FIELDS]:
        raise SpecError(
            f"{run.model} has its {twice[0]!r} already, so it cannot be swept; leave one out."
        )
    return [tried(run, point, task, model, request) for point in points(grid) if point]


def tried(
    run: RunSpec, point: dict[str, Option], task: Task, model: Recipe, request: PlanRequest
) -> Planned:
    """Return the trial of one point."""
    assert run.protocol is not None
    changes = {name: value for name, value in point.items() if name in FIELDS}
    rest = {name: value for name, value in point.items() if name not in FIELDS}
    other = replace(cast("Any", model), **checked_options(type(model), rest, repr(model.name)))
    protocol = replace(run.protocol, sweep="", trial=True).changed(changes)
    trial = resolved(replace(run, protocol=protocol), task, other, request)
    values = {name: changes.get(name, getattr(other, name, None)) for name in point}
    return structs.replace(trial, point=values)


def resolved(run: RunSpec, task: Task, model: Recipe, request: PlanRequest) -> Planned:
    """Return a run whose values are all there, but those that trials will say."""
    assert run.protocol is not None
    protocol, far = fitted(run.protocol, task, model)
    spec = replace(run, task=chosen(task), model=chosen(model), protocol=protocol)
    skip = model.refusal(task) or far or refusal(protocol, task)
    asked = request.requirements and not skip
    rungs = {key: getattr(task, key) for key in task.ladder}
    common = replace(cast("Any", task), **{key: values[0] for key, values in task.ladder.items()})
    return Planned(
        spec=spec,
        task=spec.task.label,
        model=spec.asked.label,
        task_options=options(task),
        model_options=options(model),
        sources=sources(spec, tuple(request.plugins)),
        task_version=task.version,
        learns=task.learns,
        averages={name: dict(tasks) for name, tasks in task.averages().items()},
        skip=skip,
        ladder=replace(spec, task=chosen(common)).run_id if rungs else "",
        length=rungs.get("length", 0),
        accelerator="" if request.elsewhere else device.accelerator(spec.device),
        requirements=requirements(spec, task, model, tuple(request.plugins)) if asked else None,
    )


def fitted(protocol: Protocol, task: Task, model: Recipe) -> tuple[Protocol, str]:
    """Give a protocol the width that it asks for by a match.

    Returns:
        The protocol, and why the model cannot be matched, in a sentence; empty if it can. A model
        that builds its whole network keeps the width that is there.
    """
    if not protocol.match or model.refusal(task):
        return protocol, ""
    wanted = parse_match(protocol.match)
    try:
        found = matched(Face.of(task), model, protocol.depth, wanted)
    except (SpecError, UnsupportedError):
        return protocol, ""  # as it would be without: its run says why it cannot be built
    if found is None:
        return protocol, ""
    width, parameters = found
    off = parameters / wanted - 1
    far = (
        f"Its network nearest to {wanted:,} parameters has {parameters:,}, at width {width}: "
        f"{abs(off):.0%} too {'many' if off > 0 else 'few'}.".replace("%", " %")
    )
    return replace(protocol, width=width), far if abs(off) > FARTHEST else ""


def sources(spec: RunSpec, plugins: tuple[str, ...]) -> dict[str, Source]:
    """Return what code the task and the model of a run are."""
    known = registry(plugins)
    return {
        "task": source_of(known.find("task", spec.task.name)),
        "model": source_of(known.find("model", spec.model.name)),
    }


@cache
def training_tasks(plugins: tuple[str, ...]) -> list[str]:
    """Return the tasks that measure training steps, by what their sources say."""
    tasks = registry(plugins).of("task").values()
    return [entry.name for entry in tasks if constant(entry.path, "times_training")]


def requirements(
    spec: RunSpec, task: Task, model: Recipe, plugins: tuple[str, ...]
) -> Requirements:
    """Build the network, which shows whether it can be built, and look for the task's files."""
    protocol = spec.protocol or task.protocol
    try:
        parameters, refusal = counted(Face.of(task), model, protocol.width, protocol.depth), ""
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
