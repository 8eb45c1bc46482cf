"""Plans a sweep, leaves out what is stored, hands the rest to an executor, stores every outcome.

The parent of all runs: it imports neither torch nor a plugin, so it stays small and its children's
memory is their own.
"""

import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from harness.core.config import Limits, Option, Protocol, RunSpec
from harness.core.errors import SpecError
from harness.core.messages import Job, Plan, Planned, PlanRequest, Progress, Result
from harness.core.record import FAILURES, Record, merged
from harness.core.traces import trace
from harness.costs.frontier import Frontier
from harness.measure import control_group, machine
from harness.measure.clock import today
from harness.measure.selftest import selftest
from harness.plugins.registry import registry
from harness.results.destination import keep, try_store
from harness.results.store import Store
from harness.runner import planner
from harness.runner.executors import Executor, load_executor
from harness.runner.trail import Trail
from harness.runner.trials import decided, undecided

RESULTS = "results/local"
SHARE = 0.8
"""Share of the memory now available that a run may be predicted to need, if no limit is set."""


@dataclass(frozen=True)
class Update:
    """What a sweep tells its observer: a run's beginning, its progress, or its end."""

    number: int
    """Which run, counted from 1."""
    total: int
    planned: Planned
    progress: Progress | None = None
    record: Record | None = None
    stored: bool = False
    """The record was there before: nothing was run."""


Observer = Callable[[Update], None]


def ignore(_: Update) -> None:
    """Observe nothing."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is asked for, and how it is to be run."""

    runs: tuple[RunSpec, ...]
    results: str = RESULTS
    plugins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    executor: str = "local"
    changes: Mapping[str, Option] = field(default_factory=dict)
    """What is changed in every run's protocol, its task's own."""
    again: bool = False
    """Whether what is stored is repeated; the new records take the place of the old ones."""

    @property
    def allowed(self) -> Limits:
        """The limits that are asked for, and a control group's share where that is less.

        The kernel would end a run that passes the group's, and nothing would say why.
        """
        group = SHARE * control_group.memory_bytes()
        if group >= (self.limits.memory_bytes or math.inf):
            return self.limits
        return replace(self.limits, memory_bytes=int(group))


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


def preset_runs(name: str, seeds: Sequence[int] | None, device: str) -> tuple[RunSpec, ...]:
    """Return the runs of a preset, each for other seeds if they are given.

    Raises:
        SpecError: There is no such preset, or it cannot say its runs.
    """
    entry = registry().find("preset", name)
    try:
        runs: list[RunSpec] = importlib.import_module(entry.module).runs()
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise SpecError(f"The preset {name!r} from {entry.origin} is broken: {why}.") from error
    if seeds is not None:
        bare = dict.fromkeys(replace(run, seed=0) for run in runs)
        runs = [replace(run, seed=seed) for run in bare for seed in seeds]
    return tuple(replace(run, device=device) for run in runs)


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
    executor: str = "local",
    again: bool = False,
) -> list[Record]:
    """Run every model on every task, and return the records: the Python face of `ssm-bench run`.

    Args:
        tasks: One pattern or several, such as `synthetic/shift` or `scaling`.
        models: One selector or several, such as `s4d[state=32]`.
        protocol: A whole protocol, or only what is changed in each task's own: `{"steps": 200}`,
            `{"match": "params=200k", "sweep": "lr_scale=0.3,1,3"}`.
        seeds: How many, from 0 on, or which.
        device: `cpu` or `cuda`.
        plugins: A file or several that hold further models and tasks, such as `leaky.py`.
        results: The folder of records; what it holds is not run again.
        limits: What each run may use: `Limits(timeout_s=600, memory_bytes=2**31)`.
        executor: Where runs are executed: an entry point of `ssm_bench.executors`.
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
        executor=executor,
        changes=protocol or {},
        again=again,
    )
    planned = plan(sweep)
    if planned.problems:
        raise SpecError(planned.problems[0])
    return [record for record in perform(sweep, planned.runs) if not record.trial]


def listed(names: str | Sequence[str]) -> Sequence[str]:
    """Return one name as a list of one."""
    return [names] if isinstance(names, str) else names


def plan(sweep: Sweep, *, requirements: bool = False) -> Plan:
    """Let a child that imports the plugins fill in every option and version.

    Args:
        sweep: What is asked for.
        requirements: Whether it shall also say what each run will need.

    Raises:
        SpecError: An option is wrong.
    """
    request = PlanRequest(
        runs=list(sweep.runs),
        plugins=list(sweep.plugins),
        changes=dict(sweep.changes),
        requirements=requirements,
    )
    found = planner.planned(request)
    if found.error:
        raise SpecError(found.error)
    unique = {planned.spec.run_id: planned for planned in found.runs}
    return Plan(runs=list(unique.values()), problems=found.problems)


def perform(sweep: Sweep, runs: list[Planned], observer: Observer = ignore) -> Iterator[Record]:
    """Do what is not stored yet, in order, and yield every run's record.

    Raises:
        SpecError: Records cannot be stored, which is tried before anything is run, or no longer.
    """
    store, executor = Store(Path(sweep.results)), load_executor(sweep.executor)
    limits = sweep.allowed
    try_store(store, [p.spec for p in runs if sweep.again or not store.finished(p, limits)])
    memory_bytes = limits.memory_bytes or int(SHARE * machine.available_bytes())
    frontier, done = Frontier(memory_bytes), dict[str, tuple[Planned, Record]]()
    for number, asked in enumerate(runs, 1):
        planned = decided(asked, [done[name] for name in asked.trials])
        update = Update(number, len(runs), planned)
        record = None if sweep.again else store.finished(planned, limits)
        stored = record is not None
        if record is None:
            observer(update)
            record = performed(sweep, planned, frontier, executor, forwarding(observer, update))
            if says_something_new(record, store):
                keep(store, record)
        frontier.note(planned, record)
        done[record.run_id] = planned, record
        observer(replace(update, record=record, stored=stored))
        yield record


def says_something_new(record: Record, store: Store) -> bool:
    """Say whether a record is worth a line: a run that was not made hides none that was."""
    known = store.get(record.run_id)
    if record.outcome != "not-run" or known is None or known.digests != record.digests:
        return True
    return known.outcome == "not-run" and known.reason != record.reason


def forwarding(observer: Observer, update: Update) -> Callable[[Progress], None]:
    """Return what tells an observer of one run's progress."""
    return lambda progress: observer(replace(update, progress=progress))


def performed(
    sweep: Sweep,
    planned: Planned,
    frontier: Frontier,
    executor: Executor,
    on_progress: Callable[[Progress], None],
) -> Record:
    """Do one run, or say why it is not done."""
    trail = Trail(on_progress)
    started, prediction = today(), frontier.predict(planned)
    if nothing := undecided(planned):
        result = nothing
    elif planned.skip:
        result = Result(outcome="skipped", reason=planned.skip)
    elif refusal := frontier.refusal(planned, prediction):
        result = Result(outcome="not-run", reason=refusal)
    else:
        job = Job(planned=planned, plugins=list(sweep.plugins), limits=sweep.allowed)
        try:
            result = executor.execute(job, trail)
        except Exception as error:
            reason = f"Its executor failed: {type(error).__name__}: {error}"
            result = Result(outcome="failed", reason=reason, traceback=trace(error))
    if result.outcome in FAILURES:
        result = structs.replace(result, partial=trail.partial(result.traceback))
    return recorded(sweep, planned, result, prediction, started)


def recorded(
    sweep: Sweep, planned: Planned, result: Result, prediction: dict[str, float], started: str
) -> Record:
    """Put a run and its result together."""
    card = {"accelerator": planned.accelerator} if planned.accelerator else {}
    return merged(
        Record,
        planned,
        result,
        run_id=planned.spec.run_id,
        limits=sweep.allowed,
        prediction=prediction,
        machine={**machine.facts(), **card, **result.conditions, "selftest": selftest()},
        started=started,
        ended=today(),
    )
