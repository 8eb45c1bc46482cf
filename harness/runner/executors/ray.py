"""What is reserved for each run on a Ray cluster; `ray_pool` hands the jobs over.

The driver imports neither torch nor plugins, here as elsewhere: a task of Ray on some node has a
child process that does the job.
"""

import importlib.util
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, final

from harness.core.config import Limits
from harness.core.errors import SpecError
from harness.core.messages import Planned
from harness.runner.executors import Executor, Pool
from harness.runner.executors.ray_connection import LOCAL, PACKAGE
from harness.runner.executors.remote import bounded, trial


@final
@dataclass(frozen=True, kw_only=True)
class RayExecutor(Executor):
    """Tasks of Ray, each with a child process on its node."""

    elsewhere: ClassVar[bool] = True

    address: str = LOCAL
    """`local` starts a cluster on this machine for the sweep, `auto` joins the one that it is in;
    `ray://HOST:PORT` reaches another through its head."""
    cpus: int = 1
    """Cores that each training reserves."""
    gpus: int = 0
    """The same of GPUs, for all runs."""
    memory: float = 0.0
    """GiB that a run reserves and may hold; 0 reserves none."""

    def __post_init__(self) -> None:
        if importlib.util.find_spec(PACKAGE) is None:
            raise SpecError(
                "The executor 'ray' needs Ray, which is not installed; install ssm-bench[cluster]."
            )
        if self.cpus < 1 or self.gpus < 0 or self.memory < 0:
            raise SpecError(
                f"A run on Ray reserves a core or more, and no less than no GPU and no memory, "
                f"not cpus={self.cpus}, gpus={self.gpus}, memory={self.memory:g}."
            )

    def open(self) -> AbstractContextManager[Pool]:
        """Return a pool, which is connected once it is entered."""
        from harness.runner.executors.ray_pool import RayPool  # noqa: PLC0415 - it needs us

        return RayPool(self)

    def limits(self, planned: Planned, asked: Limits) -> Limits:  # noqa: ARG002 - all alike
        """Bound a run by the memory that it reserves."""
        return bounded(self.memory, asked)


def fact() -> tuple[bool, str]:
    """Say whether Ray can be used, for the doctor."""
    there, said = trial(PACKAGE, "cluster")
    return there, f"{said}, for --executor ray" if there else said
