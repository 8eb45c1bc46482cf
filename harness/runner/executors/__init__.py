"""Where runs are executed: executors, each found by its entry point, and their one interface.

A sweep opens an executor's pool, submits jobs while it has room, and hears what becomes of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import ClassVar, Protocol

from harness.core.config import Limits, Selector, checked_options
from harness.core.errors import SpecError, unknown
from harness.core.messages import Job, Planned, Progress, Result

GROUP = "ssm_bench.executors"
DEFAULT = "local"
"""What executes runs unless something else is asked for."""


class Pool(Protocol):
    """Jobs in progress somewhere. A job's name is its run's; all calls are made by one thread."""

    def has_room(self, job: Job) -> bool:
        """Say whether a job may be submitted now; in an idle pool every job may."""
        ...

    def submit(self, job: Job) -> None:
        """Begin a job, and return at once."""
        ...

    def events(self) -> Iterator[tuple[str, Progress | None]]:
        """Yield what jobs say, as it comes: a name and how far the job is, None once it has ended.

        It waits for what is in progress, and ends when nothing is. Between two of its events jobs
        may be submitted and cancelled; whoever stops listening may call it again.
        """
        ...

    def collect(self, run_id: str) -> Result:
        """Return the result of a job that has ended, once.

        Its `conditions` take the place of what the record says of the sweep's own machine.
        """
        ...

    def cancel(self, run_id: str) -> None:
        """End a job before its time; that it has ended is still told of."""
        ...


class Executor(ABC):
    """Does jobs somewhere: a frozen keyword-only dataclass, whose fields are its options."""

    elsewhere: ClassVar[bool] = False
    """Whether that is on other machines, which may have devices that this one lacks."""

    @abstractmethod
    def open(self) -> AbstractContextManager[Pool]:
        """Return a pool. However it is left, nothing that was submitted goes on."""

    def limits(self, planned: Planned, asked: Limits) -> Limits:  # noqa: ARG002 - for those below
        """Return the limits that a run has here, where some are asked for; its record names them.

        A tighter one is for machines that would end the job otherwise, without saying why.
        """
        return asked


def load_executor(text: str) -> Executor:
    """Return the executor that text such as `local[jobs=4]` names.

    Raises:
        SpecError: Nobody has the name, what has it cannot be loaded, or an option is wrong.
    """
    selector = Selector(text)
    points = {point.name: point for point in entry_points(group=GROUP)}
    if selector.name not in points:
        raise unknown("executor", selector.name, list(points))
    try:
        kind: type[Executor] = points[selector.name].load()
        return kind(**checked_options(kind, selector.options, repr(selector.name)))
    except SpecError:
        raise
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise SpecError(f"The executor {selector.name!r} cannot be loaded: {why}.") from error
