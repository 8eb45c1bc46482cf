"""Write the whole sequence again from the features of its last position: compression.

Source: arXiv 2403.17844, its probe "compression". The marker at the end is among the labels, as
there: a free hit.

Axes: b batch, l positions, d width, c classes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from harness.api import (
    Batch,
    GeneratedTask,
    Outputs,
    Protocol,
    Split,
    StepLabels,
    Tokens,
    one_hot,
)
from suites._options import by_default, within


@final
@dataclass(frozen=True, kw_only=True)
class Compression(GeneratedTask):
    """Random tokens and a marker; the label of each position is its own token."""

    length: int = 32
    """Positions."""
    vocabulary: int = 16
    """Contents and the marker."""

    examples: ClassVar[dict[Split, int]] = {"train": 1280, "validation": 640, "test": 1280}
    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=64, width=128, depth=2)

    def __post_init__(self) -> None:
        within("vocabulary", self.vocabulary, 3)
        within("length", self.length, 2)

    @property
    def inputs(self) -> Tokens:
        """Contents, then the marker."""
        return Tokens(self.vocabulary)

    @property
    def outputs(self) -> "Decoded":
        """Every token, decoded from the last position."""
        return Decoded(self.vocabulary, self.length)

    @property
    def max_length(self) -> int:
        """The sequence."""
        return self.length

    @property
    def causal(self) -> bool:
        """As in the source."""
        return True

    @property
    def chance(self) -> float:
        """Always one content, or always the marker, which is right once."""
        return max(1, (self.length - 1) / (self.vocabulary - 1)) / self.length

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """A token of the sequence, which one has only as few; trees on summaries of it."""
        return by_default(self, {"commonest value": 0.153, "boosted trees": 0.185})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw contents."""
        tokens = torch.randint(self.vocabulary - 1, (n, self.length), generator=rng)
        tokens[:, -1] = self.vocabulary - 1
        return Batch(tokens, tokens)

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Repeat the input."""
        return one_hot(batch.inputs, self.vocabulary)


@final
@dataclass(frozen=True)
class Decoded(Outputs):
    """A class for every position, decoded from the last position's features alone.

    Scored as `StepLabels`. The head adds a fixed sinusoidal code of each place to the features and
    maps them by two linear layers with a norm and a GELU, one layer fewer than the source's.
    """

    classes: int
    length: int

    metric = "accuracy"

    @property
    def labels(self) -> StepLabels:
        """What judges the decoded classes."""
        return StepLabels(self.classes)

    def head(self, width: int) -> nn.Module:
        """Build the decoder."""
        return Decoder(width, self.classes, self.length)

    def gather(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """Keep the last valid position: (b, 1, d)."""
        if lengths is None:
            return hidden[:, -1:]
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1][:, None]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy over all positions."""
        return self.labels.loss(predictions.expand(*targets.shape, -1), targets)

    def per_example(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Count as `StepLabels` does."""
        return self.labels.per_example(predictions.expand(*targets.shape, -1), targets)

    def score(self, figures: Tensor, batch: int) -> dict[str, float]:
        """Reduce as `StepLabels` does."""
        return self.labels.score(figures, batch)

    def errors(self, figures: Tensor) -> Tensor:
        """Return the share of wrong classes."""
        return self.labels.errors(figures)

    def constant(self, targets: Tensor) -> Tensor:
        """Return the log frequencies of the labels, (1, c)."""
        return self.labels.constant(targets)


@final
class Decoder(nn.Module):
    """Maps (b, 1, d) features to (b, l, c) predictions, one for each place."""

    places: Tensor

    def __init__(self, width: int, classes: int, length: int) -> None:
        super().__init__()
        turn = 10_000 ** (-torch.arange(-(-width // 2)) / -(-width // 2))
        angle = torch.arange(length)[:, None] * turn
        code = torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :width]
        self.register_buffer("places", code / math.sqrt(2), persistent=False)
        self.map = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, classes)
        )

    def forward(self, x: Float[Tensor, "b 1 d"]) -> Float[Tensor, "b l c"]:
        """Add every place's code and map."""
        return cast("Tensor", self.map(x + self.places))
