"""Outputs that are classes: of a sequence, of a pair of sequences, of every position.

Axes: b batch, l length, d width of the backbone, c classes.
"""

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.contract.denoising import IGNORED
from harness.contract.outputs import Outputs, pooled


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return predictions that any classification scores as perfect for these integer labels."""
    return F.one_hot(labels.long().clamp(min=0), classes).float()


@final
@dataclass(frozen=True)
class OneLabel(Outputs):
    """One class for each sequence. Predictions (b, c), targets (b,) of integers; accuracy."""

    classes: int
    pool: Literal["mean", "first", "last"] = "mean"
    """Read the average of the valid positions, or the first or last of them."""

    metric = "accuracy"

    def head(self, width: int) -> nn.Module:
        """Build a linear map to the classes."""
        return nn.Linear(width, self.classes)

    def gather(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """Pool (b, l, d) to (b, d)."""
        if self.pool == "mean":
            return pooled(hidden, lengths)
        if self.pool == "first":
            return hidden[:, 0]
        if lengths is None:
            return hidden[:, -1]
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy."""
        return F.cross_entropy(predictions, targets)

    def per_example(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Keep whether the largest prediction is the label: (b, 1)."""
        return (predictions.argmax(-1) == targets).double()[:, None]

    def score(self, figures: Tensor, batch: int) -> dict[str, float]:  # noqa: ARG002
        """Return the share of correct labels."""
        return {"accuracy": figures[:, 0].mean().item()}

    def errors(self, figures: Tensor) -> Tensor:
        """Return 1 for each example whose label is wrong, 0 for the others."""
        return 1 - figures[:, 0]

    def constant(self, targets: Tensor) -> Tensor:
        """Return the log frequencies of the labels, (c,): the largest is the commonest class."""
        return class_frequencies(targets, self.classes)


@final
@dataclass(frozen=True)
class PairLabel(Outputs):
    """One class for a pair of sequences. Inputs (b, 2, l, ...), predictions (b, c); accuracy.

    The head reads both pooled documents, their product and their difference, as LRA's retrieval
    model does.
    """

    classes: int

    metric = "accuracy"
    documents = 2

    def head(self, width: int) -> nn.Module:
        """Build a two-layer map from the joined documents to the classes."""
        return nn.Sequential(nn.Linear(4 * width, width), nn.GELU(), nn.Linear(width, self.classes))

    def gather(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """Pool (2b, l, d), documents of a pair next to each other, to (b, 4d)."""
        first, second = pooled(hidden, lengths).unflatten(0, (-1, 2)).unbind(1)
        return torch.cat([first, second, first * second, first - second], -1)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy."""
        return F.cross_entropy(predictions, targets)

    def per_example(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Keep whether the largest prediction is the label: (b, 1)."""
        return OneLabel(self.classes).per_example(predictions, targets)

    def score(self, figures: Tensor, batch: int) -> dict[str, float]:
        """Return the share of correct labels."""
        return OneLabel(self.classes).score(figures, batch)

    def errors(self, figures: Tensor) -> Tensor:
        """Return 1 for each example whose label is wrong, 0 for the others."""
        return 1 - figures[:, 0]

    def constant(self, targets: Tensor) -> Tensor:
        """Return the log frequencies of the labels, (c,)."""
        return class_frequencies(targets, self.classes)


@final
@dataclass(frozen=True)
class StepLabels(Outputs):
    """A class for every position. Predictions (b, l, c), targets (b, l), some of them `IGNORED`.

    Every score is made once over the whole split, not averaged over batches.
    """

    classes: int
    metric: Literal["accuracy", "macro_f1"] = "accuracy"
    balanced: bool = False
    """Weigh each class by the inverse of its count in the batch, so each has an equal say."""

    def head(self, width: int) -> nn.Module:
        """Build a linear map to the classes, the same at every position."""
        return nn.Linear(width, self.classes)

    def gather(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:  # noqa: ARG002
        """Keep every position."""
        return hidden

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy over labelled positions, weighted if `balanced`."""
        flat, weight = targets.flatten(), None
        if self.balanced:
            counts = torch.bincount(flat[flat != IGNORED], minlength=self.classes)
            weight = torch.where(counts > 0, 1.0 / counts.clamp(min=1), 0.0).to(predictions)
        return F.cross_entropy(
            predictions.flatten(0, -2), flat, weight=weight, ignore_index=IGNORED
        )

    def per_example(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Count for each example and class what is right, true and predicted: (b, 3 c + 1).

        The last figure is 1 if every labelled position is right.
        """
        labels, guesses = targets.cpu().long(), predictions.argmax(-1).cpu()
        valid, right = labels != IGNORED, labels == guesses
        counts = torch.zeros(len(labels), 3, self.classes, dtype=torch.float64)
        true = labels.clamp(min=0)
        for row, (classes, counted) in enumerate(((true, right), (true, valid), (guesses, valid))):
            counts[:, row].scatter_add_(1, classes, counted.double())
        whole = (right | ~valid).all(1, keepdim=True)
        return torch.cat([counts.flatten(1), whole.double()], 1)

    def score(self, figures: Tensor, batch: int) -> dict[str, float]:  # noqa: ARG002
        """Reduce over the whole split.

        Returns:
            `accuracy` over labelled positions; `sequence_accuracy`, the share of examples without
            an error; and as means over the classes that occur or are predicted `macro_accuracy`,
            of the share that is right, and `macro_f1`.
        """
        right, true, guessed = figures[:, :-1].sum(0).view(3, self.classes)
        seen = true + guessed > 0
        f1 = 2 * right / (true + guessed).clamp(min=1)
        return {
            "accuracy": (right.sum() / true.sum()).item(),
            "macro_accuracy": (right / true.clamp(min=1))[seen].mean().item(),
            "sequence_accuracy": figures[:, -1].mean().item(),
            "macro_f1": f1[seen].mean().item(),
        }

    def errors(self, figures: Tensor) -> Tensor:
        """Return the share of each example's labelled positions that are wrong."""
        right, true = figures[:, :-1].view(-1, 3, self.classes)[:, :2].sum(-1).unbind(1)
        return 1 - right / true.clamp(min=1)

    def constant(self, targets: Tensor) -> Tensor:
        """Return the log frequencies of the labels, (1, c): one position stands for all."""
        return class_frequencies(targets[targets != IGNORED], self.classes)[None]


def class_frequencies(labels: Tensor, classes: int) -> Tensor:
    """Return the logarithm of each class's share among integer labels, (c,)."""
    counts = torch.bincount(labels.flatten(), minlength=classes).double()
    return (counts / counts.sum()).clamp(min=1e-9).log().float()
