"""Hands jobs to Slurm in arrays, through submitit, and hears of them through a folder.

Slurm's nodes share the folder: what a job needs lies there in its parcel, and its progress and its
result come back through it. Jobs are handed over an array at a time, so a thousand runs are some
thirty calls of `sbatch`.
"""

import importlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from time import sleep
from typing import Any, Self, final

from harness.core import codec
from harness.core.errors import SpecError, quoted
from harness.core.messages import Job, Progress, Result
from harness.core.record import Outcome
from harness.measure.clock import now
from harness.runner.executors.remote import packed, perform
from harness.runner.executors.slurm import PACKAGE, SlurmExecutor
from harness.runner.lines import Lines

AGAIN = 3
"""How often a job is begun anew that Slurm ended for its own reasons."""
LOOK_S = 0.5
"""How often is looked what jobs say."""
END_S = 15.0
"""How long cancelled jobs may take to end."""
BLAMELESS = {"NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REVOKED", "REQUEUED"}
"""States in which a job ends through no fault of its own."""
OUTCOMES: dict[str, Outcome] = {"TIMEOUT": "timed-out", "OUT_OF_MEMORY": "out-of-memory"}
"""What other states make of a run that left no result; else it was killed."""
LATE = "timed-out and not checkpointable"
HINT = "You can check full logs"
"""How submitit says that a job had its time, and where it stops to quote one."""


@dataclass(kw_only=True)
class Running:
    """A job that was submitted."""

    learns: bool
    parcel: bytes
    folder: Path
    """Holds what it says."""
    submitted: Any = None
    """As submitit knows it; None until its array is handed over."""
    lines: Lines = field(default_factory=Lines)
    read: int = 0
    """Bytes of what it says that were read."""
    lost: int = 0
    """How often Slurm ended it for its own reasons."""

    @property
    def said(self) -> Path:
        """The file of what it says, a new one each time that it is begun."""
        return self.folder / f"said-{self.lost}"


def on_node(parcel: bytes, said: str, threads: int) -> bytes:
    """Do a job: what a job of Slurm calls."""
    with Path(said).open("ab", buffering=0) as file:

        def tell(progress: Progress) -> None:
            file.write(codec.encode(progress) + b"\n")

        return perform(parcel, tell, threads=threads, conditions={})


@final
class SlurmPool:
    """Jobs in Slurm's queue, and the folder through which they are heard."""

    def __init__(self, executor: SlurmExecutor) -> None:
        self.executor = executor
        self.running: dict[str, Running] = {}
        self.over: dict[str, Result] = {}
        self.filling = True

    def __enter__(self) -> Self:
        submitit = importlib.import_module(PACKAGE)
        logging.getLogger(PACKAGE).setLevel(logging.ERROR)
        try:
            Path(self.executor.folder).mkdir(parents=True, exist_ok=True)
            self.folder = Path(mkdtemp(prefix="sweep-", dir=self.executor.folder)).resolve()
        except OSError as error:
            raise SpecError(
                f"Slurm's jobs cannot be kept in {quoted(self.executor.folder)} ({error}); name "
                "a folder that all nodes share, as in slurm[folder=/shared/me]."
            ) from error
        self.ways = {}
        for learns in (True, False):
            way = submitit.AutoExecutor(folder=self.folder, cluster=self.executor.cluster)
            way.update_parameters(**self.executor.parameters(learns=learns))
            self.ways[learns] = way
        return self

    def __exit__(self, *_: object) -> None:
        begun = [each.submitted for each in self.running.values() if each.submitted]
        for submitted in begun:
            submitted.cancel(check=False)
        end = now() + END_S
        while begun and now() < end:
            begun = [submitted for submitted in begun if not submitted.done(force_check=True)]
            sleep(LOOK_S * bool(begun))
        shutil.rmtree(self.folder, ignore_errors=True)

    def has_room(self, job: Job) -> bool:  # noqa: ARG002 - Slurm finds it a place
        """Say whether another array is being filled: one goes on when the next is handed over."""
        if len(self.running) <= self.executor.array:
            self.filling = True
        elif len(self.running) >= 2 * self.executor.array:
            self.filling = False
        return self.filling

    def submit(self, job: Job) -> None:
        """Put a job into the array that is handed over next."""
        run_id = job.planned.spec.run_id
        folder = self.folder / run_id
        folder.mkdir(exist_ok=True)
        parcel = packed(job)
        self.running[run_id] = Running(learns=job.planned.learns, parcel=parcel, folder=folder)

    def _hand_over(self) -> None:
        """Submit all that wait, as one array for trainings and one for what is measured."""
        for learns, way in self.ways.items():
            waiting = [
                each
                for each in self.running.values()
                if each.learns == learns and each.submitted is None
            ]
            if not waiting:
                continue
            with way.batch():
                for each in waiting:
                    words = each.parcel, str(each.said), self.executor.cpus
                    each.submitted = way.submit(on_node, *words)

    def events(self) -> Iterator[tuple[str, Progress | None]]:
        """Yield what jobs say, until none is in progress."""
        while self.running:
            self._hand_over()
            quiet = True
            for run_id, running in list(self.running.items()):
                if running.submitted is None:
                    continue  # begun since: the next array has it
                ended = running.submitted.done()
                for said in self._heard(running):
                    quiet = False
                    yield run_id, said
                if ended and (over := self._result(running)):
                    self.over[run_id] = over
                    del self.running[run_id]
                    shutil.rmtree(running.folder, ignore_errors=True)
                    quiet = False
                    yield run_id, None
            sleep(LOOK_S * quiet)

    def _heard(self, running: Running) -> Iterator[Progress]:
        """Read what a job has said since the last time; a line that is cut is read later."""
        with suppress(OSError, ValueError), running.said.open("rb") as file:
            file.seek(running.read)
            chunk = file.read()
            running.read += len(chunk)
            for line in running.lines.cut(chunk):
                yield codec.decode(line, Progress)

    def _result(self, running: Running) -> Result | None:
        """Return what came of a job that has ended; None if it is begun anew."""
        submitted = running.submitted
        try:
            result: Result = codec.decode(submitted.result(), Result)
        except Exception as error:
            words = told(str(error))
        else:
            return result
        state = str(submitted.state).partition(" ")[0]
        if state in BLAMELESS and running.lost < AGAIN:
            running.lost += 1
            running.submitted, running.read, running.lines = None, 0, Lines()
            return None
        if any(LATE in line for line in words):
            state = "TIMEOUT"
        outcome = OUTCOMES.get(state, "killed")
        last = f" Its last words: {words[-1][:300]}" if words else ""
        reason = f"Slurm ended it ({state}), which gave it {self.executor.time}.{last}"
        return Result(outcome=outcome, reason=reason, traceback=words)

    def collect(self, run_id: str) -> Result:
        """Return the result of a job that has ended, with what its node is."""
        return self.over.pop(run_id)

    def cancel(self, run_id: str) -> None:
        """Have Slurm end a job."""
        running = self.running[run_id]
        if running.submitted is None:
            self._hand_over()
        running.submitted.cancel(check=False)


def told(text: str) -> list[str]:
    """Return the last lines of what a job left, without submitit's frame around them."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip(" -")]
    end = next((at for at, line in enumerate(lines) if line.startswith(HINT)), None)
    return lines[:end][-20:]
