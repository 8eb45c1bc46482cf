"""The checks that every task must pass on whose data networks are trained and scored."""

import hashlib
import math
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from harness.contract.batch import Batch
from harness.contract.task import SPLITS, LearningTask
from harness.core.seeding import scope, stream
from harness.data.cache import use_shard_dir
from harness.data.shards import cached_shards
from harness.testing.check import Check, CheckError, NotApplicableError, check
from harness.testing.generators import advance_global_generators, global_states
from harness.testing.tolerance import CHANCE, PERFECT

BATCH = 4
SAMPLE = 64
"""Examples on which a check looks at content."""
CPU = torch.device("cpu")


def fingerprint(task: LearningTask) -> str:
    """Hash what a task's data begin with: 8 examples of each set, two training batches, sizes.

    Returns:
        The hexadecimal SHA-256 of shapes, types and bytes; the same on every machine.
    """
    digest = hashlib.sha256()
    for part in (batch.to(CPU) for batch in _read_uncached(task)):
        for tensor in (part.inputs, part.targets, part.lengths):
            if tensor is not None:
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().numpy().tobytes())
        digest.update(b"|")
    return digest.hexdigest()


def _read_uncached(task: LearningTask) -> Iterator[Batch]:
    """Read a task's data as on a machine that has none in its cache yet, which this one may be."""
    with TemporaryDirectory() as folder:
        cached = cached_shards(task.cache_name)
        with use_shard_dir(Path(folder)) if cached else nullcontext():
            yield from _beginning(task)


def _beginning(task: LearningTask) -> Iterator[Batch]:
    for split in SPLITS:
        first = task.first_examples(split)
        yield Batch(torch.tensor(len(first)), torch.tensor(0))
        yield first[:8]
    yield from islice(task.train_batches(BATCH), 2)
    for made in task.evaluations().values():
        yield made().batch[:8]


@check
def draws_only_from_its_stream(task: LearningTask) -> None:
    """The same stream gives the same bytes, and no global generator matters to that or moves."""
    before = global_states()
    first = fingerprint(task)
    moved = [name for name, state in global_states().items() if state != before[name]]
    advance_global_generators()
    if fingerprint(task) != first:
        raise CheckError(
            "Its data change when torch's, numpy's or Python's global generator moves; draw from "
            "the generator that `sample` is given."
        )
    if moved:
        raise CheckError(f"Reading its data moves or seeds the global generator of {moved[0]}.")


@check
def inputs_are_what_it_says(task: LearningTask) -> None:
    """Inputs have the type and the axes of `inputs`, are finite and no longer than `max_length`."""
    for where, batch in _samples(task):
        example = task.inputs.random(1, 1, stream("conformance"))
        documents = (task.outputs.documents,) if task.outputs.documents > 1 else ()
        inputs, n = batch.inputs, len(batch)
        length = inputs.shape[1 + len(documents)] if inputs.dim() > 1 + len(documents) else 0
        wanted = (n, *documents, length, *example.shape[2:])
        if tuple(inputs.shape) != wanted or inputs.dtype != example.dtype:
            raise CheckError(
                f"The inputs of {where} are {tuple(inputs.shape)} {inputs.dtype}, not "
                f"{wanted} {example.dtype} as {task.inputs} promises."
            )
        if not 1 <= length <= task.max_length:
            raise CheckError(f"{where} has {length} positions, max_length is {task.max_length}.")
        if not inputs.isfinite().all():
            raise CheckError(f"The inputs of {where} are not finite.")
        try:
            task.inputs.encoder(1)(inputs)
        except (IndexError, RuntimeError) as error:
            raise CheckError(
                f"The inputs of {where} are not legal {task.inputs}: {error}"
            ) from error
        _check_lengths(where, batch, length)


def _check_lengths(where: str, batch: Batch, length: int) -> None:
    lengths = batch.lengths
    if lengths is not None and (lengths.dtype.is_floating_point or lengths.dtype.is_complex):
        raise CheckError(f"The lengths of {where} are {lengths.dtype}, not integers.")
    if lengths is not None and not ((lengths >= 1) & (lengths <= length)).all():
        raise CheckError(f"A length of {where} is not in 1 to {length}.")


@check
def targets_are_what_it_says(task: LearningTask) -> None:
    """Targets have the shape of `outputs`, labels are in range and values finite."""
    for where, batch in _samples(task):
        predictions = _zero_predictions(task, batch)
        try:
            with warnings.catch_warnings(action="error"):
                loss = task.outputs.loss(predictions, batch.targets).item()
                task.outputs.constant(batch.targets)
        except (IndexError, RuntimeError, ValueError, UserWarning) as error:
            raise CheckError(
                f"The targets of {where}, {tuple(batch.targets.shape)} {batch.targets.dtype}, are "
                f"not what {task.outputs} asks for: {str(error).partition(chr(10))[0]}"
            ) from error
        if not math.isfinite(loss):
            raise CheckError(f"The targets of {where} are not finite, or none is labelled.")


def _zero_predictions(task: LearningTask, batch: Batch) -> Tensor:
    """Return predictions of the right shape, all zero."""
    documents = task.outputs.documents
    length = batch.inputs.shape[2 if documents > 1 else 1]
    lengths = None if batch.lengths is None else batch.lengths.flatten()
    hidden = task.outputs.gather(torch.zeros(len(batch) * documents, length, 4), lengths)
    with scope("conformance", "head"), torch.no_grad():
        predictions: Tensor = task.outputs.head(4)(hidden)
    return torch.zeros_like(predictions)


def _samples(task: LearningTask) -> Iterator[tuple[str, Batch]]:
    """Yield what a network gets of each set, with its integers widened."""
    for split in SPLITS:
        yield f"the {split} split", task.first_examples(split)[:SAMPLE].to(CPU)
    yield "a training batch", next(task.train_batches(BATCH)).to(CPU)


@check
def further_sets_ask_the_same(task: LearningTask) -> None:
    """Its further evaluations have legal inputs and targets, and the same ones every time."""
    if not task.evaluations():
        raise NotApplicableError("It has no further evaluations.")
    for name, made in task.evaluations().items():
        batch = made().batch
        if not torch.equal(batch.inputs, made().batch.inputs):
            raise CheckError(f"The set {name!r} is another one when it is made again.")
        few = batch[:BATCH].to(CPU)
        try:
            task.inputs.encoder(1)(few.inputs)
            loss = task.outputs.loss(_zero_predictions(task, few), few.targets).item()
        except (IndexError, RuntimeError, ValueError) as error:
            raise CheckError(f"The set {name!r} is not what the task says: {error}") from error
        if not math.isfinite(loss):
            raise CheckError(f"Targets of the set {name!r} are not finite, or none is labelled.")


@check
def batches_have_their_size(task: LearningTask) -> None:
    """Training batches have the size asked for and do not repeat at once."""
    first, second = islice(task.train_batches(BATCH), 2)
    for batch in (first, second):
        if not len(batch) == len(batch.inputs) == BATCH:
            raise CheckError(f"A training batch of {BATCH} holds {len(batch)} examples.")
    if first.inputs.shape == second.inputs.shape and torch.equal(first.inputs, second.inputs):
        raise CheckError("The second training batch is the first one again.")


@check
def splits_share_no_example(task: LearningTask) -> None:
    """No input of one split stands in another, nor in the first training batches."""
    seen: dict[bytes, str] = {}
    parts = [(f"the {split} split", task.split(split)) for split in SPLITS[::-1]]
    batches = ("the training batches", next(task.train_batches(SAMPLE)))
    for where, batch in [*parts, batches]:
        own = set(_contents(batch))
        shared = [seen[key] for key in own if key in seen]
        others = [other for other in shared if {where, other} != {"the train split", batches[0]}]
        if others:
            raise CheckError(f"{len(others)} inputs of {where} stand in {others[0]} too.")
        seen |= dict.fromkeys(own, where)


def _contents(batch: Batch) -> Iterator[bytes]:
    """Hash the valid part of each input, up to the longest of its documents."""
    for place, row in enumerate(batch.inputs):
        ends = None if batch.lengths is None else batch.lengths[place]
        valid = row if ends is None else row.narrow(ends.ndim, 0, max(1, int(ends.max())))
        yield hashlib.blake2b(valid.contiguous().numpy().tobytes(), digest_size=16).digest()


@check
def oracle_scores_perfectly(task: LearningTask) -> None:
    """Its oracle, which sees the inputs alone, scores perfectly."""
    batch = task.first_examples("test")[:SAMPLE]
    hidden = Batch(batch.inputs, torch.zeros_like(batch.targets), batch.lengths)
    answer = task.oracle(hidden)
    if answer is None:
        raise NotApplicableError("It has no oracle.")
    score = _score(task, answer, batch)
    perfect = 1.0 if task.outputs.higher_is_better else 0.0
    if not abs(score - perfect) <= PERFECT:
        raise CheckError(f"Its oracle scores {task.outputs.metric} = {score:.6g}, not {perfect}.")


@check
def chance_is_what_the_best_constant_scores(task: LearningTask) -> None:
    """The constant that fits the training split best scores `chance` on the test split."""
    constant, test = task.outputs.constant(task.split("train").targets), task.split("test")
    score = _score(task, constant.expand_as(_zero_predictions(task, test)), test)
    proportion = min(max(task.chance, 0.0), 1.0)
    error = math.sqrt(proportion * (1 - proportion) / len(test))
    if not abs(score - task.chance) <= CHANCE + 3 * error:
        raise CheckError(
            f"It states a chance of {task.chance:.4g}, but the best constant scores "
            f"{task.outputs.metric} = {score:.4g} on {len(test)} test examples."
        )


@check
def shortcuts_are_better_than_chance(task: LearningTask) -> None:
    """Its shortcuts are named in words and score between chance and perfect, the lowest first."""
    stated = task.shortcuts
    if not stated:
        raise NotApplicableError("It states none.")
    worst, best = task.chance, 1.0 if task.outputs.higher_is_better else 0.0
    for name, score in stated.items():
        if not (isinstance(name, str) and name[:1].isalpha() and name == " ".join(name.split())):
            raise CheckError(f"The shortcut {name!r} is not named in words.")
        if not min(worst, best) <= score <= max(worst, best):
            raise CheckError(
                f"The shortcut {name!r} scores {score:.4g}, which does not lie between chance, "
                f"{worst:.4g}, and what is perfect, {best:.4g}."
            )
    scores = list(stated.values())
    if scores != sorted(scores, reverse=not task.outputs.higher_is_better):
        raise CheckError("Its shortcuts do not stand in order, the lowest score first.")


def _score(task: LearningTask, predictions: Tensor, batch: Batch) -> float:
    figures = task.outputs.per_example(predictions, batch.targets)
    return task.outputs.score(figures, len(batch))[task.outputs.metric]


LEARNING_CHECKS: tuple[Check, ...] = (
    draws_only_from_its_stream,
    inputs_are_what_it_says,
    targets_are_what_it_says,
    further_sets_ask_the_same,
    batches_have_their_size,
    splits_share_no_example,
    oracle_scores_perfectly,
    chance_is_what_the_best_constant_scores,
    shortcuts_are_better_than_chance,
)
