"""One training loop, one function a phase. Fabric owns device, precision and processes.

Timed: forward, loss, backward, clipping, optimiser and schedule. Not timed: drawing the batch and
moving it to the device, evaluation, logging. The first steps at a shape pay for lazy set-up and are
kept apart.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from harness.contract.batch import Batch
from harness.contract.block import ParameterGroup
from harness.contract.model import Recipe
from harness.contract.network import Network
from harness.contract.task import LearningTask
from harness.core.config import Protocol
from harness.core.errors import DivergedError
from harness.core.interference import Interference
from harness.measure.clock import now
from harness.measure.device import synchronizer
from harness.measure.interference import Watch
from harness.training.evaluate import evaluate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

StepCallback = Callable[[int, float], None]
"""Called with the step and the training loss, outside the timed span."""


@dataclass
class History:
    """What a training left, besides the parameters in the network."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    step_s: list[float] = field(default_factory=list)
    """Seconds of every step."""
    evaluate_s: float = 0.0
    interference: Interference | None = None
    """What else used the processors from the first step to the last."""


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


def schedule(protocol: Protocol) -> Callable[[int], float]:
    """Return the factor on every learning rate at a step: linear warm-up, then the schedule."""
    warm = max(1, round(protocol.warmup * protocol.steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        if protocol.schedule == "constant":
            return 1.0
        done = (step - warm) / max(1, protocol.steps - warm)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return factor


@dataclass
class Trainer:
    """A network on its device with its optimiser: what one step needs."""

    fabric: "Fabric"
    network: nn.Module
    optimizer: Optimizer
    scheduler: LambdaLR
    loss: Callable[[Tensor, Tensor], Tensor]
    clip: float
    synchronize: Callable[[], None]

    def step(self, batch: Batch) -> Tensor:
        """Do one optimiser step and return its loss, detached."""
        loss = self.loss(self.network(batch.inputs, batch.lengths), batch.targets)
        self.fabric.backward(loss)
        if self.clip:
            self.fabric.clip_gradients(self.network, self.optimizer, max_norm=self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()
        self.synchronize()
        return loss.detach()


def prepared(
    network: Network, task: LearningTask, recipe: Recipe, protocol: Protocol, device: str
) -> Trainer:
    """Put a network on its device with an AdamW of the recipe's groups."""
    from lightning_fabric import Fabric  # noqa: PLC0415 - takes as long to import as torch

    fabric = Fabric(accelerator=device, devices=1, precision=protocol.precision)
    optimizer = torch.optim.AdamW(optimizer_groups(network, recipe, protocol))
    wrapped, optimizer = fabric.setup(network, optimizer)
    return Trainer(
        fabric=fabric,
        network=wrapped,
        optimizer=optimizer,
        scheduler=LambdaLR(optimizer, schedule(protocol)),
        loss=task.outputs.loss,
        clip=protocol.clip,
        synchronize=synchronizer(device),
    )


def fit(trainer: Trainer, task: LearningTask, protocol: Protocol, on_step: StepCallback) -> History:
    """Train, and leave the network with the parameters that scored best on validation.

    Raises:
        DivergedError: A loss is not finite, or no score on validation is.
    """
    history, selection = History(), Selection(trainer, task, protocol)
    due, watch = evaluation_steps(protocol), Watch()
    for step, loss in steps(trainer, iter(task.train_batches(protocol.batch)), protocol, history):
        value = float(loss)
        if not math.isfinite(value):
            raise DivergedError(f"The loss is {value} at step {step} of {protocol.steps}.")
        history.curve.append((step, value))
        on_step(step, value)
        if step in due:
            selection.consider(step, history)
    if not history.validation or history.validation[-1][0] != len(history.step_s):
        selection.consider(len(history.step_s), history)
    history.interference = watch.stop()
    selection.restore()
    return history


def steps(
    trainer: Trainer, batches: Iterator[Batch], protocol: Protocol, history: History
) -> Iterator[tuple[int, Tensor]]:
    """Do the protocol's steps, timing each, and yield its number and loss."""
    spent = 0.0
    for step in range(1, protocol.steps + 1):
        batch = next(batches).to(trainer.fabric.device)
        start = now()
        loss = trainer.step(batch)
        seconds = now() - start
        history.step_s.append(seconds)
        spent += seconds
        yield step, loss
        if protocol.seconds and spent >= protocol.seconds:
            return


def evaluation_steps(protocol: Protocol) -> set[int]:
    """Return the steps after which validation is scored, evenly spaced, the last one among them."""
    count = min(protocol.evaluations, protocol.steps)
    return {round(protocol.steps * (i + 1) / count) for i in range(count)}


class Selection:
    """Keeps the parameters that scored best on the validation split."""

    def __init__(self, trainer: Trainer, task: LearningTask, protocol: Protocol) -> None:
        self.trainer, self.outputs, self.batch = trainer, task.outputs, protocol.batch
        self.rows = task.rows("validation")
        self.best = -math.inf
        self.kept: dict[str, Any] | None = None

    def consider(self, step: int, history: History) -> None:
        """Score the network as it is, and keep it if none was better."""
        start = now()
        figures = evaluate(self.trainer.network, self.rows.batches(self.batch), self.outputs)
        score = self.outputs.score(figures, self.batch)[self.outputs.metric]
        history.validation.append((step, score))
        signed = score if self.outputs.higher_is_better else -score
        if signed > self.best:
            self.best, self.kept = signed, copy.deepcopy(self.trainer.network.state_dict())
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
