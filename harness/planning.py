"""Fills in what a request for runs leaves out; the plugins say their options, versions, ladders."""

from dataclasses import replace
from itertools import product
from typing import Any, cast

from msgspec import structs

from harness.contract.model import Recipe
from harness.contract.task import Task
from harness.job import Plan, Planned, PlanRequest
from harness.loading import BrokenPluginError, build, full_text, label
from harness.prospect import prospect
from harness.spec import RunSpec, Selector, SpecError


def plan(request: PlanRequest) -> Plan:
    """Fill in every option and version, and go up the ladders of bare names."""
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
    chosen = Selector.parse(run.task)
    first: Task = build("task", run.task, plugins)
    climbs = {key: values for key, values in first.ladder.items() if key not in chosen.options}
    tasks = [
        replace(cast("Any", first), **dict(zip(climbs, values, strict=True)))
        for values in product(*climbs.values())
    ]
    protocol = (run.protocol or first.protocol).changed(request.changes)
    run = replace(run, protocol=protocol)
    runs = [resolved(run, task, model) for task in tasks]
    if not request.ahead:
        return runs
    return [
        structs.replace(each, prospect=None if each.skip else prospect(task, model, protocol))
        for each, task in zip(runs, tasks, strict=True)
    ]


def resolved(run: RunSpec, task: Task, model: Recipe) -> Planned:
    """Return a run whose values are all there."""
    spec = replace(run, task=full_text(task), model=full_text(model))
    rungs = {key: getattr(task, key) for key in task.ladder}
    common = replace(cast("Any", task), **{key: values[0] for key, values in task.ladder.items()})
    return Planned(
        spec=spec,
        task=label(task),
        model=label(model),
        task_version=task.version,
        learns=task.learns,
        averages={name: dict(tasks) for name, tasks in task.averages().items()},
        skip=model.skip(task),
        ladder=replace(spec, task=full_text(common)).run_id if rungs else "",
        length=rungs.get("length", 0),
    )
