"""Where runs are executed: one file an executor, one small interface."""

import typing
from collections.abc import Callable
from importlib.metadata import entry_points

from harness.core.errors import SpecError, unknown
from harness.core.messages import Job, Progress, Result


class Executor(typing.Protocol):
    """Does jobs somewhere."""

    def execute(self, job: Job, on_progress: Callable[[Progress], None]) -> Result:
        """Do a job in a process of its own and return what became of it, whatever that was."""
        ...


def load_executor(name: str) -> Executor:
    """Return the executor that an entry point of `ssm_bench.executors` names.

    Raises:
        SpecError: Nobody has the name, or what has it cannot be loaded.
    """
    points = {point.name: point for point in entry_points(group="ssm_bench.executors")}
    if name not in points:
        raise unknown("executor", name, list(points))
    try:
        found: Executor = points[name].load()()
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {error}"
        raise SpecError(f"The executor {name!r} cannot be loaded: {why}.") from error
    return found
