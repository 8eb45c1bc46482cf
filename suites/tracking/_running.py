"""What the running products share: a label at every position, and longer sequences to be asked.

Axes: b batch, l positions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from harness.api import (
    Batch,
    Evaluation,
    Protocol,
)
from suites._lengths import at_lengths
from suites._options import by_default, within
from suites._tokens import TokenTask

STAGES = 8
"""Lengths of a curriculum."""
FACTORS = (2, 4)
"""How many times longer than in training the further evaluations are."""


@dataclass(frozen=True, kw_only=True)
class RunningProduct(TokenTask, ABC):
    """Tokens are drawn uniformly; the label of a position is what all tokens so far come to."""

    length: int = 64
    """Positions of the training sequences."""
    grows: int = 0
    """Training batches over which sequences grow to that, by an eighth at a time; 0: none."""

    protocol: ClassVar[Protocol] = Protocol(steps=1000, batch=64, width=64, depth=1)
    counted: ClassVar[float]
    """What boosted trees reach at the default options, which count in the mean of the tokens."""

    def __post_init__(self) -> None:
        within("length", self.length, 1)
        within("grows", self.grows, 0)

    @abstractmethod
    def products(self, tokens: Int[Tensor, "b l"]) -> Int[Tensor, "b l"]:
        """Return what the tokens up to each position come to."""

    @property
    def max_length(self) -> int:
        """The training sequence; further evaluations are longer."""
        return self.length

    @property
    def chance(self) -> float:
        """Every label is as likely as every other."""
        return 1 / self.size

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The first token is right at the first place; counting goes on from there."""
        return {
            "first value": (1 + (self.length - 1) / self.size) / self.length,
            **by_default(self, {"boosted trees": self.counted}, "grows"),
        }

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences of the training length."""
        return self.drawn(n, self.length, rng)

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Yield fresh sequences without end, short ones first where they are to grow."""
        rng = self.training_stream(draw, "train", "growing")
        for batch in range(self.grows):
            eighths = 1 + STAGES * batch // self.grows
            yield self.drawn(size, max(1, self.length * eighths // STAGES), rng)
        yield from super().train_batches(size, draw)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any length."""
        tokens = torch.randint(self.size, (n, length), generator=rng)
        return Batch(tokens, self.products(tokens))

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask the trained network about sequences two and four times as long."""
        lengths = [factor * self.length for factor in FACTORS]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(self.examples["test"], l, rng))
