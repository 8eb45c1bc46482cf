"""One loop for every executor: begins what is ready while there is room, and stores what ends.

A run is ready when its trials are done, and whatever stands below it on its ladder. What is done
elsewhere at the moment is put off, and its record is taken from the store when it comes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import sleep

from msgspec import structs

from harness.core.config import Limits
from harness.core.messages import Job, Planned, Progress, Result
from harness.core.record import FAILURES, Record, digests, merged
from harness.core.traces import trace
from harness.costs.frontier import Frontier
from harness.measure import machine
from harness.measure.clock import now, today
from harness.measure.selftest import selftest
from harness.results.destination import drop_checkpoints, keep
from harness.results.leases import Leases
from harness.results.store import SETTLED, Store
from harness.runner.executors import Pool
from harness.runner.trail import Trail
from harness.runner.trials import decided, undecided

LOOK_S = 0.5
"""How often is looked what has become of runs that another sweep does."""


@dataclass(frozen=True)
class Update:
    """What a sweep tells its observer: a run's beginning, its progress, or its end."""

    number: int
    """How many runs have ended, this one counted."""
    total: int
    planned: Planned
    progress: Progress | None = None
    record: Record | None = None
    stored: bool = False
    """The record was there before, or another sweep made it: nothing was run."""
    elsewhere: str = ""
    """Which process does the run, if another sweep does, and nothing else is left to do here."""


Observer = Callable[[Update], None]


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A run in progress."""

    job: Job
    prediction: dict[str, float]
    started: str
    trail: Trail


@dataclass(kw_only=True)
class Course:
    """A sweep under way."""

    pool: Pool
    store: Store
    leases: Leases
    frontier: Frontier
    observer: Observer
    jobs: Sequence[Job]
    """All that is asked for, trials before what they decide, short lengths before longer ones."""
    again: bool
    """Whether what is stored is repeated."""
    waiting: dict[str, Job] = field(init=False)
    known: dict[tuple[str, ...], Record] = field(init=False)
    """What was stored of them when the sweep began: what comes besides, another sweep has made."""
    begun: dict[str, Begun] = field(default_factory=dict)
    done: dict[str, tuple[Planned, Record]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = {job.planned.spec.run_id: job for job in self.jobs}
        # Of a large folder, only what is asked for is held.
        stored = self.store.each(lambda each: each if each.run_id in self.waiting else None)
        self.known = {code_key(record): record for record in stored if record}

    def records(self) -> Iterator[Record]:
        """Do everything, and yield records as they come.

        Raises:
            SpecError: A record cannot be stored.
        """
        while self.waiting or self.begun:
            yield from self.begin()
            looked = now()
            for run_id, said in self.heard():
                if isinstance(said, Progress):
                    self.begun[run_id].trail(said)
                else:
                    yield self.end(run_id, said)
                if said is None or now() - looked > LOOK_S:
                    yield from self.begin()
                    looked = now()
            if self.waiting:
                self.wait()

    def begin(self) -> Iterator[Record]:
        """Begin all that is ready and has room, in order; yield what needs no process for it."""
        climbed = {begun.job.planned.ladder for begun in self.begun.values()}
        for job in list(self.waiting.values()):
            ladder = job.planned.ladder
            undone = any(name in self.waiting or name in self.begun for name in job.planned.trials)
            ready = not undone and not (ladder and ladder in climbed)
            if ready and (record := self.attempt(job)):
                yield record
            else:
                climbed.add(ladder)

    def attempt(self, job: Job) -> Record | None:
        """Begin a run if there is room and nobody else does it; return its record, if any."""
        run_id = job.planned.spec.run_id
        tried = [self.done[name] for name in job.planned.trials]
        job = structs.replace(job, planned=decided(job.planned, tried))
        if not self.pool.has_room(job):
            return None
        known = self.there(job)
        if known is None:
            if not self.leases.take(run_id):
                return None
            known = self.there(job)  # whoever had the lease may have stored it just now
            if known is None:
                return self.start(job)
            self.leases.release(run_id)
        return self.noted(job.planned, known, stored=True)

    def start(self, job: Job) -> Record | None:
        """Submit a job; return the record of one that ends at once."""
        run_id = job.planned.spec.run_id
        del self.waiting[run_id]
        self.tell(job.planned)
        if self.again and job.planned.point:
            drop_checkpoints(self.store, job.planned.spec)
        begun = Begun(
            job=job,
            prediction=self.frontier.predict(job.planned),
            started=today(),
            trail=Trail(lambda progress: self.tell(job.planned, progress=progress)),
        )
        if result := at_once(job.planned, self.frontier, begun.prediction):
            return self.stored(begun, result)
        selftest()  # the first time, while nothing else goes on; later it is known
        try:
            self.pool.submit(job)
        except Exception as error:
            return self.stored(begun, broken(error))
        self.begun[run_id] = begun
        return None

    def there(self, job: Job) -> Record | None:
        """Return the record that makes a run needless: it stands, or another sweep just made it.

        The latter counts whatever came of it: it is as young as ours would be.
        """
        record = self.store.get(job.planned.spec.run_id)
        ours = record is not None and record.digests == digests(job.planned.sources)
        if record is not None and ours and record != self.known.get(code_key(record)):
            return record
        return None if self.again else self.store.finished(job.planned, job.limits)

    def wait(self) -> None:
        """Wait a moment for runs that are done elsewhere, and tell who does the first of them."""
        for run_id, job in self.waiting.items():
            if owner := self.leases.owner(run_id):
                self.tell(job.planned, elsewhere=owner)
                break
        sleep(LOOK_S)

    def heard(self) -> Iterator[tuple[str, Progress | Exception | None]]:
        """Yield what jobs in progress say; if the pool breaks, they all end with its error."""
        error: Exception = RuntimeError("it has lost the job")
        try:
            yield from self.pool.events()
        except Exception as raised:
            error = raised
        for run_id in list(self.begun):
            yield run_id, error

    def end(self, run_id: str, error: Exception | None) -> Record:
        """Store what came of a job that has ended."""
        begun = self.begun.pop(run_id)
        try:
            result = broken(error) if error else self.pool.collect(run_id)
        except Exception as raised:
            result = broken(raised)
        return self.stored(begun, result)

    def stored(self, begun: Begun, result: Result) -> Record:
        """Make a run's record of what came of it, and store that."""
        job = begun.job
        if result.outcome in FAILURES:
            result = structs.replace(result, partial=begun.trail.partial(result.traceback))
        lost = not self.leases.holds(job.planned.spec.run_id)
        if lost and (theirs := self.there(job)):
            return self.noted(job.planned, theirs, stored=True)
        record = recorded(job.planned, result, job.limits, begun.prediction, begun.started)
        if says_something_new(record, self.store):
            keep(self.store, record)
        trials = job.planned.trials if record.outcome in SETTLED else []
        for trial, _ in map(self.done.__getitem__, trials):
            if trial.spec.seed == record.spec.seed:  # another seed's run leaves them to it
                drop_checkpoints(self.store, trial.spec)
        self.leases.release(record.run_id)
        return self.noted(job.planned, record, stored=False)

    def noted(self, planned: Planned, record: Record, *, stored: bool) -> Record:
        """Note a run that is done, and tell of it."""
        self.waiting.pop(record.run_id, None)
        self.frontier.note(planned, record)
        self.done[record.run_id] = planned, record
        self.tell(planned, record=record, stored=stored)
        return record

    def tell(
        self,
        planned: Planned,
        *,
        progress: Progress | None = None,
        record: Record | None = None,
        stored: bool = False,
        elsewhere: str = "",
    ) -> None:
        """Tell the observer."""
        number, total = len(self.done) + (record is None), len(self.jobs)
        self.observer(Update(number, total, planned, progress, record, stored, elsewhere))


def code_key(record: Record) -> tuple[str, ...]:
    """Name a run and the code of its plugins."""
    return record.run_id, *record.digests.values()


def at_once(planned: Planned, frontier: Frontier, prediction: dict[str, float]) -> Result | None:
    """Return the result of a run that is not made, with its reason; None of one that may be."""
    if nothing := undecided(planned):
        return nothing
    if planned.skip:
        return Result(outcome="skipped", reason=planned.skip)
    if refusal := frontier.refusal(planned, prediction):
        return Result(outcome="not-run", reason=refusal)
    return None


def broken(error: Exception) -> Result:
    """Return the result of a run whose executor did not do it."""
    reason = f"Its executor failed: {type(error).__name__}: {error}"
    return Result(outcome="failed", reason=reason, traceback=trace(error))


def says_something_new(record: Record, store: Store) -> bool:
    """Say whether a record is worth a line: a run that was not made hides none that was."""
    known = store.get(record.run_id)
    if record.outcome != "not-run" or known is None or known.digests != record.digests:
        return True
    return known.outcome == "not-run" and known.reason != record.reason


def recorded(
    planned: Planned, result: Result, limits: Limits, prediction: dict[str, float], started: str
) -> Record:
    """Put a run and its result together; what the result says of its machine counts."""
    card = {"accelerator": planned.accelerator} if planned.accelerator else {}
    ours = {**machine.facts(), **card, "selftest": selftest()}
    return merged(
        Record,
        planned,
        result,
        run_id=planned.spec.run_id,
        limits=limits,
        prediction=prediction,
        machine={**ours, **result.conditions},
        started=started,
        ended=today(),
    )
