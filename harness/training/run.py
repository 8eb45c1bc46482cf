"""A whole training as a record wants it: fit, score, interval, and the memory of one step."""

import math
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from typing import TypeVar

from msgspec import structs
from torch import Tensor

from harness.contract.batch import Batch, Rows
from harness.contract.model import Recipe
from harness.contract.network import Network
from harness.contract.outputs import Outputs
from harness.contract.task import Evaluation, LearningTask, Split
from harness.core.config import Protocol, RunSpec
from harness.core.errors import DivergedError, UnsupportedError, out_of_memory
from harness.core.per_example import MOST, PerExample, kept
from harness.core.record import Learned, Memory
from harness.data.cached_task import BUCKET
from harness.measure.clock import now
from harness.measure.device import peak
from harness.training.evaluate import evaluate, interval
from harness.training.loop import NOTHING, History, Kept, StepCallback, Trainer, fit, prepared
from harness.training.pretraining import counted_on, phases, pretrained, with_first

T = TypeVar("T")
Scores = dict[str, dict[str, float]]
"""Figures by the name of a split or of a further evaluation."""
WARMUP_STEPS = 3
"""Steps of a process whose seconds are not among the samples: they pay for lazy set-up."""
MOST_POINTS = 300
MOST_SECONDS = 1000


def train_and_score(
    network: Network,
    task: LearningTask,
    recipe: Recipe,
    spec: RunSpec,
    on_step: StepCallback,
    kept: Kept = NOTHING,
) -> tuple[Learned | None, Memory | None]:
    """Train a network on a task and score it; of several ranks the first has scores.

    A network without parameters is scored as it is, and has no step to weigh. A trial is scored on
    validation alone.
    """
    protocol = spec.protocol or task.protocol
    history, memory, trainer, before = History(), None, None, None
    if any(p.requires_grad for p in network.parameters()):
        if protocol.pretrain:
            before = pretrained(network, task, recipe, spec, on_step, kept)
            before = structs.replace(before, curve=thinned(before.curve, MOST_POINTS))
            on_step = counted_on(before, on_step)
        _, labelled = phases(protocol)
        trainer = prepared(network, task, recipe, labelled, spec.device)
        with kept.log:
            history = fit(trainer, task, labelled, on_step, spec.draw, kept)
        if trainer.fabric.global_rank:  # the first rank alone scores; they weigh together
            return None, weighed(trainer, task, protocol, spec.device)
    if kept.weights:
        kept.weights.write(network)
    start, outputs = now(), task.outputs
    splits: tuple[Split, ...] = ("validation",) if protocol.trial else ("validation", "test")
    figures = {
        split: evaluate(network, task.rows(split).batches(protocol.batch), outputs)
        for split in splits
    }
    scores: Scores = {split: outputs.score(seen, protocol.batch) for split, seen in figures.items()}
    refuse_nonsense(scores)
    further, unscored = ({}, {}) if protocol.trial else evaluated(network, task, recipe, protocol)
    scores |= further
    bounds = interval(figures[splits[-1]], outputs, protocol.batch, task.name, task.version)
    by_example = None if protocol.trial else errors_of(figures["test"], task)
    history.evaluate_s += now() - start
    if trainer is not None:
        memory = weighed(trainer, task, protocol, spec.device)
    learned = record_of(task, history, scores, bounds, unscored)
    learned = structs.replace(learned, per_example=by_example)
    return (with_first(learned, before) if before else learned), memory


def errors_of(figures: Tensor, task: LearningTask) -> PerExample | None:
    """Return the errors of single test examples; None if the outputs do not say them."""
    errors = task.outputs.errors(figures)
    if errors is None:
        return None
    seen = task.rows("test").examples[:MOST]
    digest = sha256(f"{len(figures)} {tuple(seen.inputs.shape)}".encode())
    for tensor in (seen.inputs, seen.targets):
        digest.update(tensor.contiguous().numpy().tobytes())
    return kept(errors.tolist(), digest.hexdigest()[:16])


def weighed(trainer: Trainer, task: LearningTask, protocol: Protocol, device: str) -> Memory:
    """Weigh a step of training; all ranks do it together, and each weighs itself."""
    batch = heaviest(iter(task.train_batches(protocol.batch * protocol.devices)))
    batch = trainer.share(batch).to(trainer.fabric.device)
    found = peak(lambda: trainer.step(batch), device)
    if protocol.devices > 1:
        of = f"{found.method}, rank {trainer.fabric.global_rank} of {protocol.devices}"
        return structs.replace(found, method=of)
    return found


def heaviest(batches: Iterator[Batch]) -> Batch:
    """Return a batch to weigh: where sequences differ, the longest of those sorted together."""
    first = next(batches)
    if first.lengths is None:
        return first
    return max([first, *islice(batches, BUCKET - 1)], key=lambda batch: batch.inputs.numel())


def evaluated(
    network: Network, task: LearningTask, recipe: Recipe, protocol: Protocol
) -> tuple[Scores, dict[str, str]]:
    """Score a trained network on the task's further sets.

    Longer inputs come in smaller batches, so that no set takes much more memory than the training.

    Returns:
        The figures of each set, and for the others the reason why they have none.
    """
    scores: Scores = {}
    unscored: dict[str, str] = {}
    further, usual = task.evaluations(), 1
    if further:
        usual = next(task.rows("validation").batches(protocol.batch)).inputs[0].numel()
    for name, made in further.items():
        try:
            evaluation = taken(recipe, made(), task.outputs)
            found = scored(network, evaluation, task.outputs, usual, protocol.batch)
        except UnsupportedError as error:
            unscored[name] = str(error)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            unscored[name] = "There was not enough memory for it."
        else:
            if all(map(math.isfinite, found.values())):
                scores[name] = found
            else:
                unscored[name] = "Its predictions are not finite."
    return scores, unscored


def taken(recipe: Recipe, evaluation: Evaluation, outputs: Outputs) -> Evaluation:
    """Return a further set, if the model takes sequences of its length."""
    axis = 1 if outputs.documents == 1 else 2
    if reason := recipe.too_long(evaluation.batch.inputs.shape[axis]):
        raise UnsupportedError(reason)
    return evaluation


def scored(
    network: Network, evaluation: Evaluation, outputs: Outputs, usual: int, batch: int
) -> dict[str, float]:
    """Score a network on one further set, and leave the network as it was.

    Args:
        network: What was trained.
        evaluation: The set.
        outputs: What scores.
        usual: Numbers in one input of the training; where there are more, batches are smaller.
        batch: Examples in a batch of the training.
    """
    longer = max(1, -(-evaluation.batch.inputs[0].numel() // usual))
    size = max(1, batch // longer)
    try:
        network.resample(evaluation.rate)
        return outputs.score(evaluate(network, Rows(evaluation.batch).batches(size), outputs), size)
    finally:
        network.resample(1)
        network.train()


def refuse_nonsense(scores: Scores) -> None:
    """Raise if a score is no number: predictions overflowed although the losses did not.

    Raises:
        DivergedError: One is.
    """
    for split, found in scores.items():
        for name, value in found.items():
            if not math.isfinite(value):
                raise DivergedError(f"The {name} of the {split} split is {value} after training.")


def record_of(
    task: LearningTask,
    history: History,
    scores: Scores,
    bounds: tuple[float, float],
    unscored: dict[str, str],
) -> Learned:
    """Put together what a training left."""
    outputs = task.outputs
    return Learned(
        metric=outputs.metric,
        higher_is_better=outputs.higher_is_better,
        chance=task.chance,
        score=scores["test" if "test" in scores else "validation"][outputs.metric],
        interval=bounds,
        scores=scores,
        curve=thinned(history.curve, MOST_POINTS),
        validation=history.validation,
        steps=len(history.step_s),
        step_s=thinned(samples(history), MOST_SECONDS),
        first_step_s=history.step_s[0] if history.step_s else None,
        train_s=sum(history.step_s),
        evaluate_s=history.evaluate_s,
        unscored=unscored,
        shortcuts=dict(task.shortcuts),
        recalls=task.recalls,
        interference=history.interference,
        resumed=len(history.starts) - 1,
    )


def samples(history: History) -> list[float]:
    """Return the seconds of the steps that did not pay for the set-up of a process."""
    paid = {start + step for start in history.starts for step in range(WARMUP_STEPS)}
    return [seconds for step, seconds in enumerate(history.step_s) if step not in paid]


def thinned(values: list[T], most: int) -> list[T]:
    """Return at most so many values, evenly spaced, the last one among them."""
    stride = -(-len(values) // most) if values else 1
    return values[::-1][::stride][::-1]
