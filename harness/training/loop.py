"""One training loop, one function a phase. Fabric owns device, precision and processes.

Timed: forward, loss, backward, clipping, optimiser and schedule. Not timed: drawing the batch and
moving it to the device, evaluation, logging. The first steps at a shape pay for lazy set-up and are
kept apart. A device that works on its own is asked for losses and seconds of several steps at once.
"""

import copy
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from inspect import signature
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from msgspec.structs import asdict
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from harness.contract.batch import Batch
from harness.contract.block import ParameterGroup
from harness.contract.model import Recipe
from harness.contract.network import Network
from harness.contract.task import LearningTask
from harness.core.config import Protocol
from harness.core.errors import DivergedError, SpecError
from harness.core.interference import Interference
from harness.core.notify import inform, status
from harness.core.seeding import random_state, scope, set_random_state
from harness.measure.clock import now
from harness.measure.device import stopwatch
from harness.measure.interference import Watch
from harness.measure.stopwatch import Stopwatch
from harness.training.checkpoint import Checkpoints, Stateful
from harness.training.curriculum import Curriculum
from harness.training.evaluate import evaluate
from harness.training.log import Log
from harness.training.pace import Pace
from harness.training.trained import Weights

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PATIENCE = timedelta(days=30)
"""How long ranks wait for each other: one that scores takes its time, and one that died is seen."""

StepCallback = Callable[[int, float], None]
"""Called with the step and the training loss, outside the timed span."""


@dataclass(frozen=True)
class Kept:
    """Where a training leaves what is kept beside its record; nothing by default."""

    checkpoints: Checkpoints | None = None
    """What it goes on from. Writing them counts neither as time nor as interference."""
    weights: Weights | None = None
    log: Log = field(default_factory=Log)


NOTHING = Kept()


@dataclass
class History:
    """What a training left, besides the parameters in the network."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    step_s: list[float] = field(default_factory=list)
    """Seconds of every step."""
    evaluate_s: float = 0.0
    interference: Interference | None = None
    """What else used the processors from the first step to the last, while none was written down.
    """
    starts: list[int] = field(default_factory=lambda: [0])
    """The steps after which a process began: 0, and those from which others went on."""

    def note(self, watch: Watch) -> None:
        """Add what a watch saw."""
        seen = watch.stop()
        self.interference = seen if self.interference is None else self.interference + seen

    def state_dict(self) -> dict[str, Any]:
        """Return all of it, long lists as tensors."""
        return {
            "loss": torch.tensor([loss for _, loss in self.curve], dtype=torch.float64),
            "step_s": torch.tensor(self.step_s, dtype=torch.float64),
            "validation": list(self.validation),
            "evaluate_s": self.evaluate_s,
            "interference": self.interference and asdict(self.interference),
            "starts": list(self.starts),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.curve = list(enumerate(state["loss"].tolist(), 1))
        self.step_s = state["step_s"].tolist()
        self.validation = [(step, score) for step, score in state["validation"]]
        self.evaluate_s, self.starts = float(state["evaluate_s"]), list(state["starts"])
        seen = state["interference"]
        self.interference = seen and Interference(**seen)


def optimizer_groups(
    network: nn.Module, recipe: Recipe, protocol: Protocol
) -> list[dict[str, Any]]:
    """Sort parameters into optimiser groups.

    What the recipe sets apart, by the last part of a parameter's name, has its own learning rate
    and decay; biases, norms and other vectors do not decay; the rest has the protocol's rate, or
    else the recipe's, and the protocol's decay.
    """
    usual, apart = protocol.lr or recipe.lr, recipe.parameter_groups()
    sorted_: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        decay = protocol.weight_decay if parameter.ndim > 1 else 0.0
        group = apart.get(name.rpartition(".")[2], ParameterGroup(weight_decay=decay))
        rate = usual if group.lr is None else group.lr
        decay = protocol.weight_decay if group.weight_decay is None else group.weight_decay
        sorted_.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": members, "lr": protocol.lr_scale * rate, "weight_decay": decay}
        for (rate, decay), members in sorted_.items()
    ]


@dataclass
class Trainer:
    """A network on its device with its optimiser: what one step needs."""

    fabric: "Fabric"
    network: nn.Module
    optimizer: Optimizer
    scheduler: LambdaLR
    pace: Pace
    loss: Callable[[Tensor, Tensor], Tensor]
    clip: float
    stopwatch: Stopwatch
    curriculum: Curriculum = field(default_factory=Curriculum)

    def step(self, batch: Batch) -> Tensor:
        """Do one optimiser step and return its loss, detached."""
        loss = self.loss(self.network(batch.inputs, batch.lengths), batch.targets)
        self.fabric.backward(loss)
        if self.clip:
            # Whether they are finite the loss says; to ask here would be to wait for the device.
            self.fabric.clip_gradients(
                self.network, self.optimizer, max_norm=self.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()
        return loss.detach()

    def share(self, batch: Batch) -> Batch:
        """Return this rank's examples of a batch that all ranks have drawn.

        Together they are the batch that one device would take, but for a rest that cannot be
        divided; sequences that were sorted by length meet every rank.

        Raises:
            SpecError: There are fewer examples than ranks.
        """
        rank, ranks = self.fabric.global_rank, self.fabric.world_size
        if len(batch) < ranks:
            raise SpecError(f"A batch of {len(batch)} is too small for {ranks} devices; use fewer.")
        return batch[rank : len(batch) // ranks * ranks : ranks] if ranks > 1 else batch

    def of_all_ranks(self, value: Any) -> list[Any]:
        """Return what every rank has, in their order."""
        if self.fabric.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.fabric.world_size
        torch.distributed.all_gather_object(values, value)
        return values

    def state_dict(self) -> dict[str, Any]:
        """Return parameters, optimiser, schedule, pace, and where the random streams are."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "pace": [self.pace.steps, self.pace.seconds, self.pace.evaluated],
            "random": self.of_all_ranks(random_state()),
            "curriculum": self.curriculum.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for name in ("network", "optimizer", "scheduler", "curriculum"):
            getattr(self, name).load_state_dict(state[name])
        self.pace.steps, self.pace.seconds, self.pace.evaluated = state["pace"]
        set_random_state(state["random"][self.fabric.global_rank])


def prepared(
    network: Network, task: LearningTask, recipe: Recipe, protocol: Protocol, device: str
) -> Trainer:
    """Put a network on its device with an AdamW of the recipe's groups."""
    # Takes as long to import as torch.
    from lightning_fabric import Fabric  # noqa: PLC0415
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment  # noqa: PLC0415
    from lightning_fabric.strategies.ddp import DDPStrategy  # noqa: PLC0415

    fabric = Fabric(
        accelerator=device,
        devices=protocol.devices,
        strategy=DDPStrategy(timeout=PATIENCE) if protocol.devices > 1 else "auto",
        precision=protocol.precision,
        plugins=[LightningEnvironment()],  # and not what a scheduler says of its own processes
    )
    fabric.launch()
    optimizer = torch.optim.AdamW(optimizer_groups(network, recipe, protocol))
    wrapped, optimizer = fabric.setup(network, optimizer)
    pace = Pace(protocol)
    return Trainer(
        fabric=fabric,
        network=wrapped,
        optimizer=optimizer,
        scheduler=LambdaLR(optimizer, pace.factor),
        pace=pace,
        loss=task.outputs.loss,
        clip=protocol.clip,
        stopwatch=stopwatch(device),
    )


def fit(
    trainer: Trainer,
    task: LearningTask,
    protocol: Protocol,
    on_step: StepCallback,
    draw: int = 0,
    kept: Kept = NOTHING,
) -> History:
    """Train, and leave the network with the parameters that scored best on validation.

    Args:
        trainer: The network on its device.
        task: What it is trained on.
        protocol: For how long, and how it is scored meanwhile.
        on_step: Told of each step and its loss.
        draw: Which draw of the training data.
        kept: What it goes on from, and leaves to go on from.

    Raises:
        DivergedError: A loss is not finite, or no score on validation is.
        SpecError: The task has but one draw.
    """
    history, selection = History(), Selection(trainer, task, protocol)
    batches = drawn(task, protocol.batch * protocol.devices, draw)
    checkpoints, fabric = kept.checkpoints, trainer.fabric
    parts: dict[str, Stateful] = {"history": history, "selection": selection, "trainer": trainer}
    if checkpoints and checkpoints.resume(parts, fabric.broadcast):
        go_on(trainer, batches, history)
    watch = Watch()
    for block in blocks(trainer, batches, history):
        for done in block:
            if not math.isfinite(done.loss):
                of = f" of {protocol.steps}" if protocol.steps else ""
                raise DivergedError(f"The loss is {done.loss} at step {done.step}{of}.")
            history.curve.append((done.step, done.loss))
            on_step(done.step, done.loss)
            kept.log.step(*done)
        if trainer.pace.due():
            selection.consider(trainer.pace.steps, history)
            kept.log.validation(task.outputs.metric, history.validation)
        if checkpoints and fabric.broadcast(checkpoints.due):
            history.note(watch)
            checkpoints.write(trainer.pace.steps, parts, here=fabric.is_global_zero)
            watch = Watch()
    selection.consider(len(history.step_s), history)
    history.note(watch)
    if checkpoints:
        checkpoints.write(trainer.pace.steps, parts, here=fabric.is_global_zero)
    selection.restore()
    return history


def go_on(trainer: Trainer, batches: Iterator[Batch], history: History) -> None:
    """Draw again the batches that were trained on, for any task's stream has but one direction.

    That takes a small share of the time of their steps, and is exact whatever a task does.
    """
    done = trainer.pace.steps
    if trainer.pace.over:  # of its own trial, most likely
        return
    inform(f"Goes on after step {done:,}.")
    history.starts.append(done)
    with status(f"drawing the {done:,} batches that were trained on"), scope("drawn again"):
        deque(islice(batches, done), maxlen=0)


def drawn(task: LearningTask, size: int, draw: int) -> Iterator[Batch]:
    """Return the training batches of a draw.

    Raises:
        SpecError: The task's own `train_batches` knows of no draws.
    """
    if not draw:
        return iter(task.train_batches(size))
    if "draw" not in signature(task.train_batches).parameters:
        raise SpecError(
            f"{task.name} has the same training data for every seed, as its train_batches takes no "
            "`draw`; let seeds vary initial values only."
        )
    return iter(task.train_batches(size, draw))


class Done(NamedTuple):
    """A step, once the device has told of it."""

    step: int
    loss: float
    rates: Sequence[float]
    """A learning rate of each group."""
    seconds: float


def blocks(
    trainer: Trainer, batches: Iterator[Batch], history: History
) -> Iterator[Sequence[Done]]:
    """Do the protocol's steps, timing each, and yield those that were read together.

    Until then their losses stay on the device. Evaluations and the end of the training fall between
    blocks. Of several ranks the seconds are those of the first one, the loss is the whole batch's.
    """
    pace, fabric, stopwatch = trainer.pace, trainer.fabric, trainer.stopwatch
    while not pace.over:
        losses, rates = [], []
        for _ in range(pace.ahead(stopwatch.most, history.step_s[-1:])):
            batch = trainer.share(next(batches)).to(fabric.device)
            rates.append(list(map(float, trainer.scheduler.get_last_lr())))
            losses.append(stopwatch.time(partial(trainer.step, batch)))
        values = cast("Tensor", fabric.all_reduce(torch.stack(losses))).tolist()
        seconds = fabric.broadcast(stopwatch.read())
        numbers = range(pace.steps + 1, pace.steps + 1 + len(values))
        history.step_s.extend(seconds)
        pace.took(seconds)
        yield [Done(*each) for each in zip(numbers, values, rates, seconds, strict=True)]


class Selection:
    """Keeps the parameters that scored best on the validation split."""

    def __init__(self, trainer: Trainer, task: LearningTask, protocol: Protocol) -> None:
        self.trainer, self.outputs, self.batch = trainer, task.outputs, protocol.batch
        self.rows = task.rows("validation")
        self.best, self.considered = -math.inf, -1
        self.kept: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept, and what it scored."""
        return {"best": self.best, "considered": self.considered, "kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.best, self.considered, self.kept = state["best"], state["considered"], state["kept"]

    def consider(self, step: int, history: History) -> None:
        """Score the network after a step, unless that was done, and keep it if none was better.

        A score that is not finite may follow a good one; it has no place among the numbers.
        """
        if step == self.considered:
            return
        self.considered, start = step, now()
        figures = evaluate(self.trainer.network, self.rows.batches(self.batch), self.outputs)
        score = self.outputs.score(figures, self.batch)[self.outputs.metric]
        signed = score if self.outputs.higher_is_better else -score
        if math.isfinite(score):
            history.validation.append((step, score))
        if math.isfinite(score) and signed > self.best:
            self.best, self.kept = signed, copy.deepcopy(self.trainer.network.state_dict())
        self.trainer.curriculum.observe(step, figures)
        history.evaluate_s += now() - start

    def restore(self) -> None:
        """Put the kept parameters back.

        Raises:
            DivergedError: There are none: no score was better than the worst there is.
        """
        if self.kept is None:
            metric = self.outputs.metric
            raise DivergedError(f"Every {metric} of the validation split was infinite or NaN.")
        self.trainer.network.load_state_dict(self.kept)
