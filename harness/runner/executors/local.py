"""Does jobs on this machine: one after the other, or some side by side on cores of their own.

Only what trains has company, for its score does not mind. What is timed or weighed is alone, with
all cores, and nothing joins it. A thread waits for each job's child; it is pinned to the job's
cores, which the child inherits.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Literal, Self, final

from msgspec import structs

from harness.core.config import Limits
from harness.core.errors import SpecError
from harness.core.messages import Job, Planned, Progress, Result
from harness.measure import control_group, machine
from harness.runner.executors import Executor
from harness.runner.executors.process import Stop, execute
from harness.runner.forked import Warm


@final
@dataclass(frozen=True, kw_only=True)
class LocalExecutor(Executor):
    """Child processes of this one."""

    jobs: int = 1
    """Trainings that may go on side by side; each has its share of the cores and of the memory."""
    isolation: Literal["warm", "fresh"] = "warm"
    """Whether a training whose score alone counts may have a process that was forked from one that
    has torch, which starts sooner; what fails there is done again in one of its own."""

    def __post_init__(self) -> None:
        if not 1 <= self.jobs <= machine.cores():
            raise SpecError(
                f"Each of {self.jobs} jobs side by side needs a core of its own, and this machine "
                f"lets us have {machine.cores()}; choose from 1 to {machine.cores()} jobs."
            )

    def open(self) -> "LocalPool":
        """Return a pool, which has nothing to do yet."""
        return LocalPool(self.jobs, warm=self.isolation == "warm")

    def limits(self, planned: Planned, asked: Limits) -> Limits:
        """Bound a run by its control group's limit, and by its share if it may have company.

        The kernel would end a run that passes the group's, and nothing would say why.
        """
        most = self._group_bytes
        if planned.learns and self.jobs > 1 and not asked.memory_bytes:
            most = self._share_bytes
        if most >= (asked.memory_bytes or math.inf):
            return asked
        return replace(asked, memory_bytes=int(most))

    @cached_property
    def _group_bytes(self) -> float:
        return machine.SHARE * control_group.memory_bytes()

    @cached_property
    def _share_bytes(self) -> float:
        return machine.SHARE * machine.ram_bytes() / self.jobs


@dataclass(kw_only=True)
class Running:
    """A job in progress."""

    job: Job
    cores: frozenset[int]
    """Those of its own; none where it may have them all."""
    stop: Stop = field(default_factory=Stop)
    thread: Thread = field(init=False)
    beside: int = 0
    """The most other jobs at any moment."""
    ended: Result | Exception = field(init=False)


@final
class LocalPool:
    """Children of this process, each watched by a thread.

    Args:
        jobs: How many may go on side by side.
        warm: Whether what may be forked is.
    """

    def __init__(self, jobs: int, *, warm: bool) -> None:
        self.jobs = jobs
        self.free = shares(jobs)
        self.warm = Warm(len(self.free[0]) if jobs > 1 else 0) if warm else None
        self.running: dict[str, Running] = {}
        self.over: dict[str, Running] = {}
        self.told: SimpleQueue[tuple[str, Progress | None]] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for run_id in self.running:
            self.cancel(run_id)
        for running in self.running.values():
            running.thread.join()
            running.stop.close()
        if self.warm:
            self.warm.close()

    def has_room(self, job: Job) -> bool:
        """Say whether a job may begin: an idle pool has room for any, others only for company."""
        company = [job, *(each.job for each in self.running.values())]
        alone = any(not each.planned.learns for each in company)
        return not self.running or (not alone and len(self.running) < self.jobs)

    def submit(self, job: Job) -> None:
        """Start a thread that starts the job's child and waits for it."""
        shared = self.jobs > 1 and job.planned.learns
        running = Running(job=job, cores=self.free.pop() if shared else frozenset())
        name = job.planned.spec.run_id
        running.thread = Thread(target=self._execute, args=(name, running), daemon=True)
        running.thread.start()
        self.running[name] = running
        for each in self.running.values():
            each.beside = max(each.beside, len(self.running) - 1)

    def _execute(self, name: str, running: Running) -> None:
        """Do a job, in a thread of its own: what that is pinned to is nobody else's."""
        try:
            if running.cores and hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, running.cores)
            running.ended = execute(
                running.job,
                lambda progress: self.told.put((name, progress)),
                threads=len(running.cores),
                stop=running.stop.end.fileno(),
                warm=self.warm if running.job.planned.scored_alone else None,
            )
        except Exception as error:
            running.ended = error
        self.told.put((name, None))

    def events(self) -> Iterator[tuple[str, Progress | None]]:
        """Yield what jobs say, until none is in progress."""
        while self.running:
            name, progress = self.told.get()
            if progress is None:
                self._retire(name)
            yield name, progress

    def _retire(self, name: str) -> None:
        """Give back what a job had that has ended."""
        self.over[name] = running = self.running.pop(name)
        running.thread.join()
        if running.cores:
            self.free.append(running.cores)
        running.stop.close()

    def collect(self, run_id: str) -> Result:
        """Return the result of a job that has ended; one beside others says beside how many.

        Raises:
            Exception: Whatever kept the job from being done.
        """
        running = self.over.pop(run_id)
        if isinstance(running.ended, Exception):
            raise running.ended
        if not running.cores:
            return running.ended
        share = {"threads": len(running.cores), **running.ended.conditions}
        company = {"jobs": self.jobs, "beside": running.beside}
        return structs.replace(running.ended, conditions={**share, **company})

    def cancel(self, run_id: str) -> None:
        """Have a job's child ended."""
        self.running[run_id].stop.pull()


def shares(jobs: int) -> list[frozenset[int]]:
    """Deal the cores that may be used to jobs, each as many; what is left over rests."""
    cores = sorted(machine.allowed())[: machine.cores()]
    each = len(cores) // jobs
    return [frozenset(cores[job * each : (job + 1) * each]) for job in range(jobs)]
