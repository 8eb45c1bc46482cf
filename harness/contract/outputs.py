"""What a task asks for. Outputs own the head, the loss and the score; the trainer asks no further.

Axes: b batch, l length, d width of the backbone, c classes, p positions read, s size of a value,
k columns of `per_example`. Scores are reduced from per-example figures, so an interval over
examples, a slice or another batch size never needs the model again.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.contract.batch import valid_positions

Number = TypeVar("Number", float, Tensor)


class Outputs(ABC):
    """How predictions are read from the backbone, what they cost and what they score."""

    metric: str
    """The name of the score that tables show; a key of what `score` returns."""
    documents: ClassVar[int] = 1
    """Sequences in one example; with more than one, inputs are (b, documents, l, ...)."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger `metric` is a better one."""
        return True

    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """Build the map from what `gather` returns to predictions."""

    @abstractmethod
    def gather(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """Pick or pool what the head reads.

        Args:
            hidden: (b * documents, l, d), the backbone's last features.
            lengths: (b * documents,), valid positions of each sequence; None if all are.
        """

    @abstractmethod
    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the scalar that training minimises."""

    def answers(self, predictions: Tensor) -> Tensor:
        """Return what people read of (b, ...) predictions: here the class of the largest one."""
        return predictions.argmax(-1)

    @abstractmethod
    def per_example(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return (b, k) float64 figures from which `score` can be reduced."""

    @abstractmethod
    def score(self, figures: Tensor, batch: int) -> dict[str, float]:
        """Reduce (n, k) figures of a split to named scores.

        Args:
            figures: What `per_example` returned for the n examples of a split.
            batch: The batch size at which a figure is meant that papers average over batches.
        """

    def headline(self, figures: Tensor, batch: int) -> float:
        """Return the score that tables show, alone; sooner, where the others take longer."""
        return self.score(figures, batch)[self.metric]

    def errors(self, figures: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return how wrong each example is, by which two models are compared example by example.

        Args:
            figures: (n, k), what `per_example` returned.

        Returns:
            (n,) numbers from 0 on, 0 for what is right; None if there is no such number.
        """
        return None

    @abstractmethod
    def constant(self, targets: Tensor) -> Tensor:
        """Return the best prediction that ignores the input, shaped as for one example."""


def pooled(hidden: Tensor, lengths: Tensor | None) -> Tensor:
    """Average the valid positions of (b, l, d) features into (b, d)."""
    if lengths is None:
        return hidden.mean(1)
    valid = valid_positions(hidden, lengths)
    return (hidden * valid[..., None]).sum(1) / lengths[:, None].clamp(min=1)


@final
@dataclass(frozen=True)
class Values(Outputs):
    """Real values at the last positions, or one of the whole sequence.

    Predictions and targets (b, p, s); R2, and the mean squared error with its root. `r2` is pooled
    over the split. `r2_batches` is the DLR paper's: the mean over batches of
    1 - MSE / max(variance, 1e-5), each batch with one scalar mean (ag1988/dlr, specs 1.1).
    """

    size: int
    last: int | None
    """Positions read, counted from the end; None for one, the average of the valid positions."""
    metric: Literal["r2", "rmse"] = "r2"
    start: float | None = None
    """What every value is near, from which the head's bias starts; None for torch's own start.

    For targets far from zero, whose mean a short training would not find.
    """

    @property
    def higher_is_better(self) -> bool:
        """Whether the metric is R2 and no error."""
        return self.metric == "r2"

    def head(self, width: int) -> nn.Module:
        """Build a linear map to the values, the same at every position."""
        head = nn.Linear(width, self.size)
        if self.start is not None:
            nn.init.constant_(head.bias, self.start)
        return head

    def gather(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """Keep the last `last` valid positions, or average all valid ones: (b, p, d)."""
        if self.last is None:
            return pooled(hidden, lengths)[:, None]
        if lengths is None:
            return hidden[:, -self.last :]
        steps = torch.arange(-self.last, 0, device=hidden.device) + lengths[:, None]
        return hidden.gather(1, steps[..., None].expand(-1, -1, hidden.shape[-1]))

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error."""
        return F.mse_loss(predictions, targets)

    def answers(self, predictions: Tensor) -> Tensor:
        """Return the values as they are."""
        return predictions

    def per_example(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Keep squared error, sum, sum of squares and count of each example: (b, 4)."""
        error = (predictions.double() - targets.double()).square().flatten(1).sum(1)
        flat = targets.double().flatten(1)
        count = torch.full_like(error, flat.shape[1])
        return torch.stack([error, flat.sum(1), flat.square().sum(1), count], 1)

    def score(self, figures: Tensor, batch: int) -> dict[str, float]:
        """Return pooled R2, the R2 averaged over batches, the mean squared error and its root."""
        error, total, squares, count = figures.sum(0).tolist()
        batches = -(-len(figures) // batch)
        sums = figures.new_zeros(batches, 4)
        sums.index_add_(0, torch.arange(len(figures)) // batch, figures)
        errors, totals, squared, counts = sums.unbind(-1)
        return {
            "r2": r_squared(error, total, squares, count, max),
            "r2_batches": r_squared(errors, totals, squared, counts, torch.clamp).mean().item(),
            "mse": error / count,
            "rmse": math.sqrt(error / count),
        }

    def headline(self, figures: Tensor, batch: int) -> float:  # noqa: ARG002
        """Return pooled R2, or the root of the mean squared error."""
        error, total, squares, count = figures.sum(0).tolist()
        if self.metric == "rmse":
            return math.sqrt(error / count)
        pooled: float = r_squared(error, total, squares, count, max)
        return pooled

    def errors(self, figures: Tensor) -> Tensor:
        """Return the mean squared error of each example."""
        return figures[:, 0] / figures[:, 3].clamp(min=1)

    def constant(self, targets: Tensor) -> Tensor:
        """Return the mean of all values, (1, s)."""
        return targets.mean().expand(1, self.size).clone()


def r_squared(
    error: Number, total: Number, squares: Number, count: Number, larger: Callable[..., Number]
) -> Number:
    """Return 1 - MSE / max(variance, 1e-5), of numbers or of tensors of one shape.

    Args:
        error: Sum of the squared errors.
        total: Sum of the targets.
        squares: Sum of their squares.
        count: How many there are.
        larger: `max`, or what it is for tensors.
    """
    mean = total / count
    return 1 - (error / count) / larger(squares / count - mean * mean, 1e-5)
