"""The child process: plans runs, or does one. JSON lines in and out; the only importer of plugins.

`harness.runner.child` starts it. Told to `plan`, it reads a `PlanRequest` from standard input and
writes `Progress` lines and a `Plan`; told to `run`, it reads a `Job` and writes `Progress` lines
and one `Result`. What plugins print goes to standard error, so it cannot garble the lines.
"""

import faulthandler
import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NoReturn

import torch
from msgspec.structs import replace

from harness.contract.model import Recipe
from harness.contract.network import Network
from harness.contract.task import LearningTask, MeasuredTask, Task
from harness.core import codec
from harness.core.config import Protocol
from harness.core.errors import DivergedError, SpecError, UnsupportedError, out_of_memory
from harness.core.messages import Event, Job, PlanRequest, Progress, Result
from harness.core.notify import redirect
from harness.core.record import Measured, digests
from harness.core.seeding import scope, stream
from harness.core.traces import place, trace
from harness.costs.frontier import SETTLING
from harness.measure import allocator, memory
from harness.measure.clock import Samples, now, sample
from harness.measure.device import absence, accelerator, peak, synchronizer
from harness.measure.flops import flops
from harness.measure.interference import quietest
from harness.measure.machine import code, conditions, cores, waiting
from harness.nn.backbone import Backbone
from harness.plugins.loading import build
from harness.plugins.registry import registry
from harness.results.store import Store
from harness.runner.channel import Speaker
from harness.runner.child import PR_SET_NAME, control
from harness.runner.planning import plan, sources
from harness.runner.ranks import others
from harness.training.checkpoint import Checkpoints
from harness.training.log import Log
from harness.training.loop import Kept
from harness.training.run import train_and_score
from harness.training.trained import Weights

Send = Callable[[Event], None]
PROGRESS_S = 0.2
"""The least time between two progress lines."""


class ChildRun:
    """Does what a task asks of it, and keeps what comes of it."""

    def __init__(self, job: Job, send: Send) -> None:
        spec = job.planned.spec
        self.send, self.spec = send, spec
        self.protocol = spec.protocol or Protocol()
        self.plugins = tuple(job.plugins)
        self.model: Recipe = build("model", spec.model, self.plugins)
        self.job, self.kept = job, kept(job)
        self.result = Result(outcome="ok")
        self.progress = Progress(step=0, steps=self.protocol.steps)

    def tell(self, sentence: str) -> None:
        """Pass on what a person shall read."""
        self.send(replace(self.progress, notice=sentence))

    def wait(self, words: str) -> None:
        """Pass on what is waited for, unless it was said last."""
        if words != self.progress.status:
            self.progress = replace(self.progress, status=words)
            self.send(self.progress)

    def drew(self, seconds: float) -> None:
        """Let the next line say how long batches were drawn."""
        self.progress = replace(self.progress, drawn_s=self.progress.drawn_s + seconds)

    def keep(self, **fields: Any) -> None:
        """Keep fields of the result."""
        self.result = replace(self.result, **fields)

    def network(self, task: Task) -> Network:
        """Build the network from the run's own stream of initial values."""
        protocol = self.protocol
        with scope(self.spec.init, "init"):
            network = self.model.assemble(
                Backbone, task, protocol.width, protocol.depth, protocol.dropout
            )
        self.keep(parameters=sum(p.numel() for p in network.parameters() if p.requires_grad))
        with suppress(UnsupportedError, SpecError):  # `check` says what is wrong with a state
            self.keep(state_bytes=network.state_bytes(task.max_length))
        return network

    def train(self, task: LearningTask) -> None:
        """Train on the task, score its splits, and weigh one step."""
        network = self.network(task)
        last = now()

        def on_step(step: int, loss: float) -> None:
            nonlocal last
            self.progress = replace(self.progress, step=step, loss=loss)
            if now() - last >= PROGRESS_S or step == self.protocol.steps:
                last = now()
                self.send(self.progress)

        try:
            with scope(self.spec.init, "train", *self.rank), self.others():
                learned, weighed = train_and_score(
                    network, task, self.model, self.spec, on_step, self.kept
                )
        except Exception:
            self.send(self.progress)
            raise
        self.keep(learned=learned, memory=weighed, path=self.path(network))

    def path(self, network: Network) -> str:
        """Ask where it computed, since a form may depend on what is rounded."""
        device, mixed = self.spec.device, self.protocol.precision == "bf16-mixed"
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            return network.path()

    @property
    def rank(self) -> list[int]:
        """What names a rank's own stream of dropout; that of the first is the usual one."""
        return [self.job.rank] if self.job.rank else []

    def others(self) -> AbstractContextManager[None]:
        """Let the other ranks train too, where there are any and this is the first."""
        if self.protocol.devices == 1 or self.job.rank:
            return nullcontext()
        return others(self.job, self.protocol.devices, self.end)

    def end(self, result: Result) -> NoReturn:
        """End here and now, in whatever thread."""
        self.send(result)
        os._exit(0)

    def measure(self, task: MeasuredTask) -> None:
        """Time the task's workload, then weigh it and count its operations in one more call."""
        if self.protocol.devices > 1:
            raise UnsupportedError("It is measured on one device; --devices is for training.")
        began = now()
        rng = stream(task.name, task.version, "measure")
        network = self.network(task).to(self.spec.device)
        in_precision(network, self.protocol.precision, self.spec.device)
        work = task.workload(network, self.protocol.batch, rng)
        budget_s = self.protocol.budget_s
        tries: list[Samples] = []

        def timing() -> Samples:
            tries.extend(
                sample(
                    work.call,
                    settle_s=budget_s * SETTLING,
                    budget_s=budget_s / 2,
                    synchronize=synchronizer(self.spec.device),
                )
            )
            return tries[-1]

        timed, interference = quietest(timing, budget_s)
        replayed, eager = work.forget() if work.forget else ("", "")
        if replayed:
            work.call()  # what torch sets up for the first such call is not weighed
        counted: list[int | None] = []
        weighed = peak(lambda: counted.append(flops(work.call)), self.spec.device)
        measured = Measured(
            length=task.max_length,
            batch=self.protocol.batch,
            tokens=work.tokens,
            call_s=timed.seconds,
            first_call_s=tries[0].first_s,
            precision=timed.precision,
            flops=counted[0],
            spent_s=now() - began,
            interference=interference,
            eager=eager,
        )
        path = "+".join(filter(None, (self.path(network), replayed)))
        self.keep(measured=measured, memory=weighed, path=path)


def kept(job: Job) -> Kept:
    """Say where a job's training leaves what it keeps."""
    planned, keeping, store = job.planned, job.keeping, Store(job.results)
    # A trial leaves its end: the run that it decides is the same training, and only tests it.
    wanted = keeping.checkpoint_s or planned.point or planned.swept
    every_s, folder = keeping.checkpoint_s or math.inf, store.checkpoints(planned.spec)
    return Kept(
        Checkpoints.of(planned, folder, every_s) if wanted else None,
        Weights.of(planned, store) if keeping.weights else None,
        Log.of(planned.spec, store, "" if job.rank else keeping.log),
    )


def in_precision(network: Network, precision: str, device: str) -> None:
    """Let every face of a network that is to be measured compute in a protocol's precision.

    Raises:
        UnsupportedError: Workloads make their inputs in single precision.
    """
    if precision == "64-true":
        raise UnsupportedError("It is measured in 32-true or bf16-mixed; 64-true is for training.")
    if precision == "bf16-mixed":
        mixed = torch.autocast(device, torch.bfloat16)
        for face in (network.forward, network.step, network.advance, network.prefill):
            setattr(network, face.__name__, mixed(face))


def run(job: Job, send: Send) -> Result:
    """Do a job; every exception becomes an outcome here and nowhere else."""
    before, device = conditions(), job.planned.spec.device
    hands_out = allocator.keep() if job.keeps_memory else allocator.allocator()
    try:
        refuse_absent(device)
        child = ChildRun(job, send)
        task: Task = build("task", job.planned.spec.task, child.plugins)
        refuse_changed(job)
        # CUDA reserves far more addresses than it uses; there the parent's look alone must do.
        if job.limits.memory_bytes and child.spec.device == "cpu":
            memory.limit(job.limits.memory_bytes)
        with redirect(child):
            task.perform(child)
        result = storable(child.result)
    except UnsupportedError as error:
        result = Result(outcome="skipped", reason=str(error))
    except Exception as error:
        result = failure(error, job)
    card = "" if absence(device) else accelerator(device)
    state = {
        **code(),
        **({"accelerator": card} if card else {}),
        "threads": torch.get_num_threads(),
        "allocator": hands_out,
        "waiting": waiting(),
        "before": before,
        "after": conditions(),
    }
    return replace(result, conditions=state)


def storable(result: Result) -> Result:
    """Return a result that can be kept as it is.

    Raises:
        SpecError: A task or a model gave it a number that is none, or a field of another type.
    """
    try:
        return codec.checked(result)
    except SpecError as error:
        raise SpecError(f"What it gave cannot be kept: {error}.") from None


def refuse_absent(device: str) -> None:
    """Check that a device is there, which planning on another machine could not.

    Raises:
        SpecError: It is not.
    """
    if absent := absence(device):
        raise SpecError(absent)


def refuse_changed(job: Job) -> None:
    """Check that the code that was loaded is what the record will say.

    Raises:
        SpecError: A plugin changed after the sweep was planned.
    """
    found = digests(sources(job.planned.spec, tuple(job.plugins)))
    for kind, digest in digests(job.planned.sources).items():
        if digest != found[kind]:
            raise SpecError(f"The code of its {kind} changed during the sweep; run it again.")


def failure(error: Exception, job: Job) -> Result:
    """Return the result of an exception: its outcome, with a sentence."""
    text = " ".join(str(error).split())
    if out_of_memory(error):
        allowed = job.limits.memory_bytes
        bound = f" within {allowed / 2**30:.3g} GiB" if allowed else ""
        reason = f"An allocation failed{bound}: {text[:200] or 'MemoryError'}"
        return Result(outcome="out-of-memory", reason=reason, traceback=trace(error))
    if isinstance(error, DivergedError):
        return Result(outcome="diverged", reason=text)
    if isinstance(error, SpecError):
        return Result(outcome="failed", reason=text)
    where = place(error, homes(job))
    reason = f"{type(error).__name__} in {where}: {text[:300]}"
    return Result(outcome="failed", reason=reason, traceback=trace(error))


def homes(job: Job) -> list[Path]:
    """Return where the code of a job's plugins is: their files, or folders of their packages."""
    known, spec = registry(tuple(job.plugins)), job.planned.spec
    entries = known.find("model", spec.model.name), known.find("task", spec.task.name)
    return [each.path.parent if "." in each.module else each.path for each in entries]


def silent(_: Event) -> None:
    """Tell nothing: the first rank tells for all."""


def use_allowed_threads(processes: int) -> None:
    """Let torch use as many threads as the environment says, which it takes once a process.

    Args:
        processes: Those that share the processors.
    """
    allowed = int(os.environ.get("OMP_NUM_THREADS", cores()))
    torch.set_num_threads(max(1, allowed // processes))
    torch.set_num_interop_threads(1)


def main(verb: str) -> NoReturn:
    """Answer one request from standard input."""
    speaker = Speaker()
    control(PR_SET_NAME, b"ssm-bench %s" % verb.encode())  # as `top` shows it
    faulthandler.register(signal.SIGTERM, all_threads=False, chain=True)  # says what hung
    text = sys.stdin.buffer.read()
    if verb == "plan":
        request: PlanRequest = codec.decode(text, PlanRequest)
        speaker.token, total = request.token, len(request.runs)
        speaker.say(plan(request, lambda place: speaker.say(Progress(step=place, steps=total))))
    else:
        job: Job = codec.decode(text, Job)
        protocol = job.planned.spec.protocol or Protocol()
        use_allowed_threads(protocol.devices if job.planned.spec.device == "cpu" else 1)
        speaker.token = job.token
        speaker.say(run(job, silent if job.rank else speaker.say))
    # All is said; taking torch apart in order would take longer than many a measurement.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
