"""Tasks around a task, which ask something of its inputs: what a pretraining trains on."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from harness.contract.batch import Batch, Inputs, Rows, unchanged, valid_positions
from harness.contract.denoising import Denoising
from harness.contract.outputs import Outputs
from harness.contract.task import LearningTask, Split
from harness.core.errors import UnsupportedError
from harness.core.seeding import stream
from harness.training.curriculum import Mixture
from harness.training.loop import drawn
from harness.training.mixtures import SYMBOLS, rows
from harness.training.objectives import LEAST, Objective

HIDDEN = 0.25
"""Share of the positions that are hidden from a network that sees both ways."""
ROWS = 4
"""Rows of each configuration that are scored."""


@final
@dataclass(frozen=True)
class Rebuilt(Outputs):
    """Inputs as predictions: the mean loss of the positions that are asked for."""

    denoising: Denoising

    metric = "loss"

    @property
    def higher_is_better(self) -> bool:
        """It is a loss."""
        return False

    def head(self, width: int) -> nn.Module:
        """Build a linear map to what predicts a position."""
        return nn.Linear(width, self.denoising.columns)

    def gather(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:  # noqa: ARG002
        """Keep every position."""
        return hidden

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over all positions of the batch that are asked for."""
        losses, asked = self.denoising.errors(predictions, targets)
        return losses.sum() / asked.sum().clamp(min=1)

    def per_example(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Keep the sum of an example's losses and their number: (b, 2)."""
        losses, asked = self.denoising.errors(predictions, targets)
        return torch.stack([losses.double().sum(1), asked.double().sum(1)], 1).cpu()

    def score(self, figures: Tensor, batch: int) -> dict[str, float]:  # noqa: ARG002
        """Return the mean loss."""
        total, count = figures.sum(0).tolist()
        return {"loss": total / max(1.0, count)}

    def constant(self, targets: Tensor) -> Tensor:
        """Return zeros."""
        return targets.new_zeros(1, self.denoising.columns, dtype=torch.float32)


class Inner(LearningTask):
    """What a pretraining asks of another task's inputs."""

    task: LearningTask

    @property
    @abstractmethod
    def symbols(self) -> int:
        """Tokens that it puts beside the task's."""

    @property
    def inputs(self) -> Inputs:
        """The task's, with symbols beside them."""
        return self.task.inputs.with_symbols(self.symbols)

    @property
    def max_length(self) -> int:
        """The task's own, for which networks are built."""
        return self.task.max_length

    @property
    def causal(self) -> bool:
        """The task's own."""
        return self.task.causal

    @property
    def chance(self) -> float:
        """Nobody asks."""
        return 0.0

    def split(self, split: Split) -> Batch:
        """Return all that `rows` goes through."""
        return self.rows(split).examples


@final
@dataclass(frozen=True)
class OwnInputs(Inner):
    """Positions that are hidden, or the next position."""

    task: LearningTask
    denoising: Denoising

    @property
    def symbols(self) -> int:
        """What hides."""
        return self.denoising.symbols

    @property
    def outputs(self) -> Rebuilt:
        """The inputs."""
        return Rebuilt(self.denoising)

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Ask about the task's own batches, in their order."""
        rng = stream(self.task.name, self.task.version, "pretraining", draw)
        for batch in drawn(self.task, size, draw):
            yield self.asked(batch, rng)

    def rows(self, split: Split) -> Rows:
        """Ask about the task's own split; what is hidden is the same each time."""
        held = self.task.rows(split)

        def prepare(batch: Batch) -> Batch:
            rng = stream(self.task.name, self.task.version, "pretraining", split)
            return self.asked(held.prepare(batch), rng)

        return Rows(held.examples, prepare)

    def asked(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Turn a batch of the task into one without labels; documents of a pair are two."""
        x, lengths = batch.inputs, batch.lengths
        if self.task.outputs.documents > 1:
            x, lengths = x.flatten(0, 1), None if lengths is None else lengths.flatten()
        valid = torch.ones(x.shape[:2], dtype=torch.bool)
        valid = valid if lengths is None else valid_positions(x, lengths)
        if self.causal:  # the next position; behind the last one nothing is asked
            more = valid.roll(-1, 1)
            more[:, -1] = False
            return Batch(x, self.denoising.targets(x.roll(-1, 1), more), lengths)
        where = valid & (torch.rand(x.shape[:2], generator=rng) < HIDDEN)
        return Batch(self.denoising.hide(x, where), self.denoising.targets(x, where), lengths)


@final
@dataclass(frozen=True)
class Texts(Inner):
    """Objectives over a task's own texts, mixed as a curriculum says."""

    task: LearningTask
    objectives: tuple[Objective, ...]
    mixture: Mixture

    @property
    def vocabulary(self) -> int:
        """The task's tokens, behind which marks come."""
        return self.task.inputs.denoising().columns

    @property
    def symbols(self) -> int:
        """Marks."""
        return SYMBOLS

    @property
    def outputs(self) -> Rebuilt:
        """Tokens, marks among them."""
        return Rebuilt(self.inputs.denoising())

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Write rows from the task's own batches, in their order."""
        rng = stream(self.task.name, self.task.version, "pretraining", draw)
        for step, batch in enumerate(drawn(self.task, size, draw)):
            chosen = torch.multinomial(self.mixture.at(step), size, True, generator=rng)
            yield self.written(batch, [self.objectives[at] for at in chosen.tolist()], rng)

    def rows(self, split: Split) -> Rows:
        """Write some rows of each objective, one objective behind the other."""
        rng = stream(self.task.name, self.task.version, "pretraining", split)
        wanted = [objective for objective in self.objectives for _ in range(ROWS)]
        held = self.task.rows(split)
        batch = held.prepare(held.examples[: len(wanted)])
        return Rows(self.written(batch, wanted, rng), unchanged)

    def written(self, batch: Batch, objectives: list[Objective], rng: torch.Generator) -> Batch:
        """Write a row for each objective from the texts of a batch, in turn if there are fewer."""
        lengths = batch.lengths
        sizes = [batch.inputs.shape[1]] * len(batch) if lengths is None else lengths.tolist()
        texts = [row[:n] for row, n in zip(batch.inputs.tolist(), sizes, strict=True) if n >= LEAST]
        if not texts:
            raise UnsupportedError(f"No text of a batch has {LEAST} tokens to be asked about.")
        turns = [texts[n % len(texts)] for n in range(len(objectives))]
        return rows(turns, objectives, self.max_length, self.vocabulary, rng)
