"""Looks at a sample of a task: sizes, labels, lengths, speed, and what shortcuts reach on it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract.batch import Batch
from harness.contract.denoising import IGNORED
from harness.contract.task import SPLITS, LearningTask, Split
from harness.core.errors import SpecError
from harness.core.seeding import stream
from harness.data.inventory import to_fetch
from harness.data.shortcuts import Finding, search
from harness.measure.clock import now

MOST = 1000
"""Examples that are looked at, unless more are asked for or a split has fewer."""


@dataclass(frozen=True)
class Spread:
    """A few numbers that sum up many."""

    mean: float
    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Inspection:
    """What a sample of a task's data looks like."""

    task: str
    version: int
    sizes: Mapping[Split, int]
    """Examples of each split; of endless training data, of the sample that stands for it."""
    looked_at: int
    """Examples in the sample."""
    per_second: float | None
    """Examples drawn in a second; None if the data are read."""
    labels: Mapping[int, int] | None
    """How often each label occurs; None if targets are real numbers."""
    values: Spread | None
    """Targets that are real numbers."""
    lengths: Spread
    """Positions without padding."""
    metric: str
    chance: float
    stated: Mapping[str, float]
    """What shortcuts reach, as the task states it."""
    found: Mapping[str, float]
    """What shortcuts reach on the sample."""
    searched: list[Finding]
    """What cheap predictors reach, the best first; empty if they were not asked for."""


def inspect(name: str, task: LearningTask, n: int, *, shortcuts: bool = False) -> Inspection:
    """Draw or read a sample and look at it.

    Args:
        name: What the task is called in messages.
        task: What is inspected.
        n: Examples to look at; 0 for as many as its test split has, at most `MOST`.
        shortcuts: Whether shortcuts are searched for, on as many examples of training.

    Raises:
        SpecError: The files of a stored task are not there, or what the search needs is not.
    """
    if files := to_fetch(task):
        raise SpecError(f"{files[0].name} is not there; run `ssm-bench data fetch '{name}'`.")
    sizes = {split: task.count(split) for split in SPLITS}
    n = n or min(MOST, sizes["test"])
    start = now()
    drawn = task.new_examples(n, stream(task.name, task.version, "inspect"))
    seconds = now() - start
    batch = next(task.rows("test").batches(n)) if drawn is None else drawn
    targets, outputs, lengths = batch.targets, task.outputs, batch.lengths
    if lengths is None:
        lengths = torch.tensor(batch.inputs.shape[2 if outputs.documents > 1 else 1])
    real = targets.is_floating_point()
    return Inspection(
        task=name,
        version=task.version,
        sizes=sizes,
        looked_at=len(batch),
        per_second=None if drawn is None else len(batch) / seconds,
        labels=None if real else _histogram(targets),
        values=_spread(targets) if real else None,
        lengths=_spread(lengths),
        metric=outputs.metric,
        chance=task.chance,
        stated=dict(task.shortcuts),
        found=_reached(task, batch),
        searched=search(task, n) if shortcuts else [],
    )


def _histogram(targets: Tensor) -> dict[int, int]:
    """Count each label, without positions that carry none."""
    labels, counts = targets[targets != IGNORED].unique(return_counts=True)
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def _spread(numbers: Tensor) -> Spread:
    """Sum up the numbers of a tensor of any shape."""
    flat = numbers.double().flatten()
    return Spread(flat.mean().item(), flat.median().item(), flat.min().item(), flat.max().item())


def _reached(task: LearningTask, batch: Batch) -> dict[str, float]:
    """Score what the task's shortcuts answer to a batch, from its inputs alone."""
    hidden = Batch(batch.inputs, torch.zeros_like(batch.targets), batch.lengths)
    outputs, scores = task.outputs, {}
    for name, predictions in task.shortcut_predictions(hidden).items():
        figures = outputs.per_example(predictions, batch.targets)
        scores[name] = outputs.score(figures, len(batch))[outputs.metric]
    return scores
