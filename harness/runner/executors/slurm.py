"""What is asked of Slurm for each run; `slurm_pool` hands the jobs over, through submitit.

What is timed or weighed asks for a node of its own.
"""

import importlib.util
import math
import re
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from harness.core.config import Limits
from harness.core.errors import SpecError, quoted
from harness.core.messages import Planned
from harness.runner.executors import Executor, Pool
from harness.runner.executors.remote import bounded, trial

PACKAGE = "submitit"
DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>min|h|d)")
MINUTES = {"min": 1, "h": 60, "d": 1440}


@final
@dataclass(frozen=True, kw_only=True)
class SlurmExecutor(Executor):
    """Jobs of Slurm, each with a child process on its node."""

    elsewhere: ClassVar[bool] = True

    partition: str = ""
    """Of the cluster; its default where nothing is said."""
    account: str = ""
    """Who is charged; the same."""
    cpus: int = 1
    """Cores of each run."""
    gpus: int = 0
    """The same of GPUs."""
    memory: float = 0.0
    """GiB that a run may hold; 0: what the partition gives."""
    time: str = "1h"
    """After which Slurm ends a run: `30min`, `4h`, `2d`."""
    array: int = 32
    """How many runs of an array may go on at once; two arrays are in its queue."""
    folder: str = "results/.slurm"
    """One that all nodes share."""
    cluster: Literal["slurm", "local"] = "slurm"
    """`local` does the same on this machine without Slurm, to try it."""

    def __post_init__(self) -> None:
        if importlib.util.find_spec(PACKAGE) is None:
            raise SpecError(
                "The executor 'slurm' needs submitit, which is not installed; "
                "install ssm-bench[slurm]."
            )
        if self.cluster == "slurm" and shutil.which("sbatch") is None:
            raise SpecError(
                "There is no 'sbatch' here, so no Slurm takes jobs; start the sweep where it is, "
                "as on a login node."
            )
        if self.cpus < 1 or self.gpus < 0 or self.memory < 0 or self.array < 1:
            raise SpecError(
                "A run on Slurm has a core or more, an array a run or more, and neither GPUs nor "
                f"memory are less than none, not cpus={self.cpus}, array={self.array}, "
                f"gpus={self.gpus}, memory={self.memory:g}."
            )
        if not self.minutes:
            raise SpecError(f"{quoted(self.time)} is no time; write it like 30min, 4h or 2d.")

    @property
    def minutes(self) -> int:
        """The time in minutes; 0 if it cannot be read."""
        match = DURATION.fullmatch(self.time)
        return math.ceil(float(match["number"]) * MINUTES[match["unit"]]) if match else 0

    def open(self) -> AbstractContextManager[Pool]:
        """Return a pool, which has a folder once it is entered."""
        from harness.runner.executors.slurm_pool import SlurmPool  # noqa: PLC0415 - it needs us

        return SlurmPool(self)

    def limits(self, planned: Planned, asked: Limits) -> Limits:  # noqa: ARG002 - all alike
        """Bound a run by its memory; Slurm would end it otherwise, without its last words."""
        return bounded(self.memory, asked)

    def parameters(self, *, learns: bool) -> dict[str, Any]:
        """Return what submitit is told for a job."""
        asked = {
            "timeout_min": self.minutes,
            "cpus_per_task": self.cpus,
            "name": "ssm-bench",
            "slurm_array_parallelism": self.array,
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "gpus_per_node": self.gpus,
            "mem_gb": self.memory,
            "slurm_exclusive": not learns,
        }
        return {name: value for name, value in asked.items() if value}


def fact() -> tuple[bool, str]:
    """Say whether Slurm can be used, for the doctor."""
    there, said = trial(PACKAGE, "slurm")
    if there and shutil.which("sbatch") is None:
        return False, f"submitit {said} for --executor slurm, but no sbatch here"
    return there, f"submitit {said} and sbatch, for --executor slurm" if there else said
