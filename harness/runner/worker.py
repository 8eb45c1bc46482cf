"""The child process: plans runs, or does one. JSON lines in and out; the only importer of plugins.

`python -m harness.runner.worker plan` reads a `PlanRequest` from standard input and writes a
`Plan`; `python -m harness.runner.worker run` reads a `Job` and writes `Progress` lines and one
`Result`. What plugins print goes to standard error, so it cannot garble the lines.
"""

import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TextIO

import msgspec
import torch
from msgspec.structs import replace

from harness.contract.model import Recipe
from harness.contract.network import Network
from harness.contract.task import LearningTask, MeasuredTask, Task
from harness.core import codec
from harness.core.config import Protocol
from harness.core.errors import DivergedError, SpecError, UnsupportedError
from harness.core.messages import Event, Job, PlanRequest, Progress, Result
from harness.core.notify import listening
from harness.core.record import Measured, Outcome
from harness.core.seeding import scope, stream
from harness.measure import memory
from harness.measure.clock import now, sample
from harness.measure.device import peak, synchronizer
from harness.measure.flops import flops
from harness.measure.machine import conditions, cores
from harness.nn.backbone import Backbone
from harness.plugins.loading import build
from harness.runner.planning import plan
from harness.training.run import out_of_memory, train_and_score

Say = Callable[[Event], None]
PROGRESS_S = 0.2
"""The least time between two progress lines."""


class ChildRun:
    """Does what a task asks of it, and keeps what was found."""

    def __init__(self, job: Job, say: Say) -> None:
        spec = job.planned.spec
        self.say, self.spec = say, spec
        self.protocol = spec.protocol or Protocol()
        self.plugins = tuple(job.plugins)
        self.model: Recipe = build("model", spec.model, self.plugins)
        self.found: dict[str, Any] = {}
        self.news = Progress(step=0, steps=self.protocol.steps)

    def heard(self, words: str, stays: bool) -> None:
        """Pass on what a person shall know who waits, unless it was said last."""
        if stays:
            self.say(replace(self.news, said=words))
        elif words != self.news.doing:
            self.news = replace(self.news, doing=words)
            self.say(self.news)

    def network(self, task: Task) -> Network:
        """Build the network from the run's own stream of initial values."""
        protocol = self.protocol
        with scope(self.spec.seed, "init"):
            network = self.model.assemble(
                Backbone, task, protocol.width, protocol.depth, protocol.dropout
            )
        trained = [p.numel() for p in network.parameters() if p.requires_grad]
        self.found["parameters"] = sum(trained)
        try:
            self.found["state_bytes"] = network.state_bytes(task.max_length)
        except UnsupportedError:
            self.found["state_bytes"] = None
        return network

    def train(self, task: LearningTask) -> None:
        """Train on the task, score its splits, and weigh one step."""
        network = self.network(task)
        last = now()

        def listener(step: int, loss: float) -> None:
            nonlocal last
            self.news = replace(self.news, step=step, loss=loss)
            if now() - last >= PROGRESS_S or step == self.protocol.steps:
                last = now()
                self.say(self.news)

        with scope(self.spec.seed, "train"):
            self.found["learned"], self.found["memory"] = train_and_score(
                network, task, self.model, self.spec, listener
            )
        self.found["path"] = network.path()

    def measure(self, task: MeasuredTask) -> None:
        """Time the task's workload, then weigh it and count its operations in one more call."""
        began = now()
        rng = stream(task.name, task.version, "measure")
        network = self.network(task).to(self.spec.device)
        work = task.workload(network, self.protocol.batch, rng)
        budget_s = self.protocol.budget_s
        (seen,) = sample(
            work.call,
            settle_s=budget_s / 16,
            budget_s=budget_s / 2,
            synchronize=synchronizer(self.spec.device),
        )
        counted: list[int | None] = []
        self.found["memory"] = peak(lambda: counted.append(flops(work.call)), self.spec.device)
        self.found["path"] = network.path()
        self.found["measured"] = Measured(
            length=task.max_length,
            batch=self.protocol.batch,
            tokens=work.tokens,
            call_s=seen.seconds,
            first_call_s=seen.first_s,
            precision=seen.precision,
            flops=counted[0],
            spent_s=now() - began,
        )


def run(job: Job, say: Say) -> Result:
    """Do a job; every exception becomes an outcome here and nowhere else."""
    before = conditions()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", cores())))
    torch.set_num_interop_threads(1)
    child = None
    outcome: Outcome
    try:
        child = ChildRun(job, say)
        task: Task = build("task", job.planned.spec.task, child.plugins)
        if job.limits.memory_bytes:
            memory.limit(job.limits.memory_bytes)
        with listening(child.heard):
            task.perform(child)
        outcome, reason = "ok", ""
    except UnsupportedError as error:
        outcome, reason = "skipped", str(error)
    except Exception as error:
        outcome, reason = failure(error, job)
    found = child.found if child and outcome == "ok" else {}
    state = {"before": before, "after": conditions(), "threads": torch.get_num_threads()}
    return Result(outcome=outcome, reason=reason, conditions=state, **found)


def failure(error: Exception, job: Job) -> tuple[Outcome, str]:
    """Name the outcome of an exception, with its sentence."""
    text = " ".join(str(error).split())
    if out_of_memory(error):
        allowed = job.limits.memory_bytes
        bound = f" within {allowed / 2**30:.3g} GiB" if allowed else ""
        return "out-of-memory", f"An allocation failed{bound}: {text[:200] or 'MemoryError'}"
    if isinstance(error, DivergedError):
        return "diverged", text
    if isinstance(error, SpecError):
        return "failed", text
    where = traceback.extract_tb(error.__traceback__)[-1]
    traceback.print_exception(error)
    return "failed", f"{type(error).__name__} in {where.name}, line {where.lineno}: {text[:300]}"


def private_output() -> TextIO:
    """Keep standard output for our lines; what others print goes to standard error."""
    ours = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return ours


def end_with_the_reader(pipe: int) -> None:
    """End this process, and all of its group if it leads one, once nobody reads our lines.

    A parent that was killed could not end us, and a run that nobody stores may take hours.
    """

    def watch() -> None:
        watched = select.poll()
        watched.register(pipe, 0)
        watched.poll()
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(verb: str) -> NoReturn:
    """Answer one request from standard input."""
    out = private_output()
    end_with_the_reader(out.fileno())
    text = sys.stdin.buffer.read()

    def say(message: msgspec.Struct) -> None:
        out.write(codec.encode(message).decode() + "\n")
        out.flush()

    if verb == "plan":
        say(plan(codec.decode(text, PlanRequest)))
    else:
        say(run(codec.decode(text, Job), say))
    # All is said; taking torch apart in order would take longer than many a measurement.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
