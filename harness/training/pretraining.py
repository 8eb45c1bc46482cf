"""Training on a task's inputs before its labels: the same network, rebuilding what it does not see.

`self` hides positions, or asks a causal network for the next one: Amos et al. 2024, "Never Train
from Scratch". The other kinds are mixtures of objectives over texts, `harness.training.mixtures`.

The network is built a second time, for inputs with a few more tokens and with a head that rebuilds
them. Both start from the same values, and what they share goes back when the pretraining ends. It
takes its share of the protocol's steps or seconds, so that a training costs what it does without.
"""

from dataclasses import replace

import torch
from msgspec import structs
from torch import nn

from harness.contract.model import Recipe
from harness.contract.network import Network
from harness.contract.task import LearningTask, Task
from harness.core.config import Protocol, RunSpec
from harness.core.errors import UnsupportedError
from harness.core.record import Learned, Pretraining
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.training.birdie import Search
from harness.training.curriculum import Curriculum, Mixture
from harness.training.inner_tasks import Inner, OwnInputs, Texts
from harness.training.loop import NOTHING, Kept, StepCallback, fit, prepared
from harness.training.mixtures import MIXTURES, SYMBOLS

EVALUATIONS = 20
"""Of a mixture during its training: as often may the shares change."""
SHORTEST = 96
"""Tokens of a row that holds a sample of every objective."""


def refusal(protocol: Protocol, task: Task) -> str:
    """Return why a task's networks cannot be pretrained as a protocol says; empty if they can."""
    if not protocol.pretrain:
        return ""
    if not isinstance(task, LearningTask):
        return "It is measured and not trained, so there is nothing to pretrain."
    if protocol.devices > 1:
        return "Networks are pretrained on one device; leave --devices or --pretrain out."
    try:
        task.inputs.with_symbols(0 if protocol.pretrain == "self" else SYMBOLS).denoising()
    except UnsupportedError as error:
        return str(error)
    return "" if protocol.pretrain == "self" else unwritten(task)


def unwritten(task: LearningTask) -> str:
    """Return why objectives cannot be written from a task's texts; empty if they can."""
    if not task.causal or task.outputs.documents > 1:
        return "Texts are written by causal networks, one at a time; take --pretrain self."
    if task.max_length < SHORTEST:
        return f"Its texts have {task.max_length} tokens at most, and objectives take {SHORTEST}."
    return ""


def asked_of(task: LearningTask, kind: str) -> tuple[Inner, Curriculum]:
    """Return what a kind of pretraining asks of a task, and what hears of its evaluations."""
    if kind == "self":
        return OwnInputs(task, task.inputs.denoising()), Curriculum()
    shares = MIXTURES[kind]
    search = Search() if kind == "birdie" else None
    kinds = [objective.kind for objective in shares]
    mixture = Mixture(torch.tensor(list(shares.values())), kinds, search)
    return Texts(task, tuple(shares), mixture), mixture


def phases(protocol: Protocol) -> tuple[Protocol, Protocol]:
    """Divide a protocol's steps or seconds between its pretraining and its labels."""
    if not protocol.pretrain:
        return protocol, protocol
    steps = max(1, round(protocol.steps * protocol.pretrain_share)) if protocol.steps else 0
    seconds = protocol.seconds * protocol.pretrain_share
    often = protocol.evaluations if protocol.pretrain == "self" else EVALUATIONS
    first = replace(protocol, steps=steps, seconds=seconds, evaluations=often)
    rest = replace(protocol, steps=protocol.steps - steps, seconds=protocol.seconds - seconds)
    return first, rest


def pretrained(
    network: Network,
    task: LearningTask,
    recipe: Recipe,
    spec: RunSpec,
    on_step: StepCallback,
    kept: Kept = NOTHING,
) -> Pretraining:
    """Train a network on a task's inputs, in place, as the run's protocol says.

    Raises:
        UnsupportedError: The network has nothing in common with one that rebuilds its inputs.
    """
    protocol = spec.protocol or task.protocol
    first, _ = phases(protocol)
    inner, curriculum = asked_of(task, protocol.pretrain)
    with scope(spec.init, "pretrain"):
        twin = recipe.assemble(Backbone, inner, first.width, first.depth, first.dropout)
    symbols = inner.symbols
    if not carry(network, twin, symbols):
        raise UnsupportedError("Its network shares no parameter with one that rebuilds its inputs.")
    trainer = prepared(twin, inner, recipe, first, spec.device)
    trainer.curriculum = curriculum
    checkpoints = kept.checkpoints and kept.checkpoints.within("pretraining")
    history = fit(trainer, inner, first, on_step, spec.draw, Kept(checkpoints))
    carry(twin, network, symbols)
    return Pretraining(
        steps=len(history.step_s),
        train_s=sum(history.step_s),
        evaluate_s=history.evaluate_s,
        curve=history.curve,
        validation=history.validation,
        shares=curriculum.shares(),
        interference=history.interference,
        resumed=len(history.starts) - 1,
    )


def counted_on(pretraining: Pretraining, on_step: StepCallback) -> StepCallback:
    """Count the steps of the labels on from those of a pretraining."""
    return lambda step, loss: on_step(pretraining.steps + step, loss)


def with_first(learned: Learned, pretraining: Pretraining) -> Learned:
    """Add what a pretraining took to what a record says of the labels."""
    seen = pretraining.interference, learned.interference
    return structs.replace(
        learned,
        steps=learned.steps + pretraining.steps,
        train_s=learned.train_s + pretraining.train_s,
        evaluate_s=learned.evaluate_s + pretraining.evaluate_s,
        interference=seen[0] + seen[1] if seen[0] and seen[1] else None,
        resumed=max(learned.resumed, pretraining.resumed),
        pretraining=pretraining,
    )


@torch.no_grad()
def carry(source: nn.Module, target: nn.Module, symbols: int) -> int:
    """Copy what two networks have under the same names.

    Of two that differ by so many symbols, the rows that both have: those are what an embedding has
    for each token, and a head too if the task's classes are as many as its tokens.

    Returns:
        How many parameters and buffers were copied.
    """
    held, count = source.state_dict(), 0
    for name, value in target.state_dict().items():
        other = held.get(name)
        if other is None or other.shape[1:] != value.shape[1:] or other.ndim != value.ndim:
            continue
        if other.shape == value.shape:
            value.copy_(other)
        elif abs(len(other) - len(value)) == symbols:
            both = min(len(other), len(value))
            value[:both] = other[:both]
        else:
            continue
        count += 1
    return count
