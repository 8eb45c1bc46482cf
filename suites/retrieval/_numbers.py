"""Labels of a written answer that is a list of numbers: scored by token and by whole number.

Axes: b batch, l positions, c classes, d width, k columns of `per_example`.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from harness.api import IGNORED, Outputs, StepLabels


@final
@dataclass(frozen=True)
class Numbers(Outputs):
    """`StepLabels`, of which each number counts as right only if all of its labels are.

    `number_accuracy` is the share of numbers that are right with their separator, each read behind
    the true ones before it; `sequence_accuracy` is the share of answers that a model would write.
    """

    classes: int
    separators: tuple[int, ...]
    """Labels that end a number; all others belong to the number that ends next."""

    metric = "number_accuracy"

    @property
    def labels(self) -> StepLabels:
        """What judges single tokens."""
        return StepLabels(self.classes)

    def head(self, width: int) -> nn.Module:
        """Build a linear map to the tokens, the same at every position."""
        return self.labels.head(width)

    def gather(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """Keep every position."""
        return self.labels.gather(hidden, lengths)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy over labelled positions."""
        return self.labels.loss(predictions, targets)

    def per_example(
        self, predictions: Float[Tensor, "b l c"], targets: Int[Tensor, "b l"]
    ) -> Float[Tensor, "b k"]:
        """Count as `StepLabels` does, and then the numbers that are right and that are asked."""
        labels, guesses = targets.cpu(), predictions.argmax(-1).cpu()
        ends = torch.isin(labels, torch.tensor(self.separators))
        wrong = (labels != IGNORED) & (labels != guesses)
        number, asked = ends.cumsum(1) - ends.long(), ends.sum(1)
        errors = torch.zeros(len(labels), labels.shape[1] + 1).scatter_add_(
            1, number, wrong.float()
        )
        right = ((errors == 0) & (torch.arange(errors.shape[1]) < asked[:, None])).sum(1)
        counted = self.labels.per_example(predictions, targets)
        return torch.cat([counted, torch.stack([right, asked], 1).double()], 1)

    def score(self, figures: Float[Tensor, "n k"], batch: int) -> dict[str, float]:
        """Return what `StepLabels` does, and `number_accuracy`."""
        right, asked = figures[:, -2:].sum(0)
        return {
            "number_accuracy": (right / asked).item(),
            **self.labels.score(figures[:, :-2], batch),
        }

    def errors(self, figures: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the share of each answer's numbers that are wrong."""
        right, asked = figures[:, -2:].unbind(1)
        return 1 - right / asked.clamp(min=1)

    def constant(self, targets: Tensor) -> Tensor:
        """Return the log frequencies of the labels, (1, c)."""
        return self.labels.constant(targets)
