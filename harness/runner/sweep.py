"""Plans a sweep, leaves out what is stored, hands the rest to an executor, stores every outcome.

The parent of all runs: it imports neither torch nor a plugin, so it stays small and its children's
memory is their own.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.core.config import Limits, Option, Protocol, RunSpec, Selector
from harness.core.errors import SpecError
from harness.core.messages import Job, Keeping, Plan, Planned, PlanRequest
from harness.core.plugin_names import Kind
from harness.core.record import Record
from harness.costs.frontier import Frontier
from harness.measure import machine
from harness.plugins.registry import registry
from harness.results.destination import try_store
from harness.results.leases import Leases
from harness.results.store import Store
from harness.runner import planner
from harness.runner.course import Course, Observer, Update
from harness.runner.executors import DEFAULT, load_executor

RESULTS = "results/local"


def ignore(_: Update) -> None:
    """Observe nothing."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is asked for, and how it is to be run."""

    runs: tuple[RunSpec, ...]
    results: str = RESULTS
    plugins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    keeping: Keeping = field(default_factory=Keeping)
    executor: str = DEFAULT
    """Where it is run: `local[jobs=4]`."""
    changes: Mapping[str, Option] = field(default_factory=dict)
    """What is changed in every run's protocol, its task's own."""
    again: bool = False
    """Whether what is stored is repeated; the new records take the place of the old ones."""


def requests(
    tasks: Iterable[str],
    models: Iterable[str],
    *,
    seeds: Sequence[int] = (0,),
    device: str = "cpu",
    plugins: tuple[str, ...] = (),
) -> tuple[RunSpec, ...]:
    """Return every task and model that patterns name, for some seeds.

    Args:
        tasks: Names, folders or `folder/*`, with options if they like.
        models: The same of models.
        seeds: Of every task and model.
        device: Of every run.
        plugins: Files that hold further plugins.

    Raises:
        SpecError: A pattern matches nothing.
    """
    known = registry(plugins)
    chosen_models = [model for pattern in models for model in known.match("model", pattern)]
    return tuple(
        RunSpec(task=task, model=model, seed=seed, device=device)
        for pattern in tasks
        for task in known.match("task", pattern)
        for model in dict.fromkeys(chosen_models)
        for seed in seeds
    )


def in_turns(
    tasks: Iterable[str],
    models: tuple[str, str],
    *,
    rounds: int,
    device: str = "cpu",
    plugins: tuple[str, ...] = (),
) -> tuple[RunSpec, ...]:
    """Return the runs of two models, one beside the other, in the order A B B A, a seed a round.

    What drifts while they are measured, such as a processor that gets warm, then meets both alike.

    Args:
        tasks: As `requests` takes them.
        models: A and B.
        rounds: How often each is measured.
        device: Of every run.
        plugins: Files that hold further plugins.

    Raises:
        SpecError: A pattern matches nothing.
    """
    tasks = tuple(tasks)
    return tuple(
        run
        for seed in range(rounds)
        for task in tasks
        for run in requests(
            [task], models[:: 1 - 2 * (seed % 2)], seeds=[seed], device=device, plugins=plugins
        )
    )


def preset_runs(
    name: str,
    seeds: Sequence[int] | None,
    device: str,
    *,
    tasks: Iterable[str] = (),
    models: Iterable[str] = (),
) -> tuple[RunSpec, ...]:
    """Return the runs of a preset, each for other seeds if they are given.

    Args:
        name: The preset's.
        seeds: Of every run; None for those of the preset.
        device: Of every run.
        tasks: Patterns of those that are meant, whatever further options they have; all if none.
        models: The same of models.

    Raises:
        SpecError: There is no such preset, it cannot say its runs, or none is meant.
    """
    entry = registry().find("preset", name)
    try:
        runs: list[RunSpec] = importlib.import_module(entry.module).runs()
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise SpecError(f"The preset {name!r} from {entry.origin} is broken: {why}.") from error
    named: dict[Kind, tuple[str, ...]] = {"task": tuple(tasks), "model": tuple(models)}
    for kind, patterns in named.items():
        meant = [each for pattern in patterns for each in registry().match(kind, pattern)]
        kept = [run for run in runs if any(_is_of(getattr(run, kind), each) for each in meant)]
        if meant and not kept:
            raise SpecError(
                f"The preset {name!r} has no run of {' or '.join(patterns)}; see them all with "
                f"`ssm-bench run --preset {name} --dry-run`."
            )
        runs = kept or runs
    if seeds is not None:
        bare = dict.fromkeys(replace(run, seed=0) for run in runs)
        runs = [replace(run, seed=seed) for run in bare for seed in seeds]
    return tuple(replace(run, device=device) for run in runs)


def _is_of(asked: Selector, meant: Selector) -> bool:
    """Say whether something is what a selector names, whatever options it has beside."""
    return asked.name == meant.name and asked.options.items() >= meant.options.items()


def run(  # noqa: PLR0913 - options are arguments, as in the verb of the command line
    tasks: str | Sequence[str],
    models: str | Sequence[str],
    *,
    protocol: Protocol | Mapping[str, Option] | None = None,
    seeds: int | Sequence[int] = 1,
    device: str = "cpu",
    plugins: str | Sequence[str] = (),
    results: str = RESULTS,
    limits: Limits | None = None,
    checkpoint_s: float = 0.0,
    keep_weights: bool = False,
    log: str = "",
    executor: str = DEFAULT,
    again: bool = False,
) -> list[Record]:
    """Run every model on every task, and return the records: the Python face of `ssm-bench run`.

    Args:
        tasks: One pattern or several, such as `synthetic/shift` or `scaling`.
        models: One selector or several, such as `s4d[state=32]`.
        protocol: A whole one, or what is changed in each task's own: `{"match": "params=200k"}`.
        seeds: How many, from 0 on, or which.
        device: `cpu` or `cuda`.
        plugins: A file or several that hold further models and tasks, such as `leaky.py`.
        results: The folder of records; what it holds is not run again.
        limits: What each run may use: `Limits(timeout_s=600, memory_bytes=2**31)`.
        checkpoint_s: Seconds between checkpoints, from which a killed training goes on; 0: none.
        keep_weights: Whether each network is kept, for `load_trained`.
        log: What each training tells of itself meanwhile: `tensorboard`, `mlflow=http://...`.
        executor: Where runs are executed, such as `local[jobs=4]`.
        again: Whether what is stored is repeated; the new records take the place of the old ones.

    Returns:
        A record for each run, in order; those that did not finish say why. Trials have none here:
        the records of the runs that they decided hold them.

    Raises:
        SpecError: A name or an option is wrong.
    """
    chosen, files = range(seeds) if isinstance(seeds, int) else seeds, tuple(listed(plugins))
    runs = requests(listed(tasks), listed(models), seeds=chosen, device=device, plugins=files)
    if isinstance(protocol, Protocol):
        runs, protocol = tuple(replace(each, protocol=protocol) for each in runs), None
    sweep = Sweep(
        runs=runs,
        results=results,
        plugins=files,
        limits=limits or Limits(),
        keeping=Keeping(checkpoint_s=checkpoint_s, weights=keep_weights, log=log),
        executor=executor,
        changes=protocol or {},
        again=again,
    )
    planned = plan(sweep)
    if planned.problems:
        raise SpecError(planned.problems[0])
    found = {record.run_id: record for record in perform(sweep, planned.runs)}
    records = (found[run.spec.run_id] for run in planned.runs)
    return [record for record in records if not record.trial]


def listed(names: str | Sequence[str]) -> Sequence[str]:
    """Return one name as a list of one."""
    return [names] if isinstance(names, str) else names


def plan(sweep: Sweep, *, requirements: bool = False) -> Plan:
    """Let a child that imports the plugins fill in every option and version.

    Args:
        sweep: What is asked for.
        requirements: Whether it shall also say what each run will need.

    Raises:
        SpecError: An option is wrong, also one of the executor.
    """
    executor = load_executor(sweep.executor)  # its mistakes cost nobody a planning
    request = PlanRequest(
        runs=list(sweep.runs),
        plugins=list(sweep.plugins),
        changes=dict(sweep.changes),
        requirements=requirements,
        elsewhere=executor.elsewhere,
    )
    found = planner.planned(request)
    if found.error:
        raise SpecError(found.error)
    unique = {planned.spec.run_id: planned for planned in found.runs}
    return Plan(runs=list(unique.values()), problems=found.problems)


def perform(sweep: Sweep, runs: list[Planned], observer: Observer = ignore) -> Iterator[Record]:
    """Do what is not stored yet, and yield every run's record as it comes.

    Raises:
        SpecError: Records cannot be stored, which is tried before anything is run, or no longer.
    """
    store, executor = Store(Path(sweep.results)), load_executor(sweep.executor)
    jobs = [
        Job(
            planned=run,
            plugins=list(sweep.plugins),
            limits=executor.limits(run, sweep.limits),
            results=str(store.folder.resolve()),
            keeping=sweep.keeping,
        )
        for run in runs
    ]
    missing = [
        job.planned.spec
        for job in jobs
        if sweep.again or not store.finished(job.planned, job.limits)
    ]
    try_store(store, missing)
    bounds = (job.limits.memory_bytes for job in jobs if not job.planned.learns)
    memory_bytes = max(bounds, default=0) or int(machine.SHARE * machine.available_bytes())
    with Leases(store.folder) as leases, executor.open() as pool:
        course = Course(
            pool=pool,
            store=store,
            leases=leases,
            frontier=Frontier(memory_bytes),
            observer=observer,
            jobs=jobs,
            again=sweep.again,
        )
        yield from course.records()
