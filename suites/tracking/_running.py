"""What the running products share: a label at every position, and longer sequences to be asked.

Axes: b batch, l positions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from harness.api import (
    Batch,
    Evaluation,
    GeneratedTask,
    Protocol,
    SpecError,
    Split,
    StepLabels,
    Tokens,
)
from suites._lengths import at_lengths

FACTORS = (2, 4)
"""How many times longer than in training the further evaluations are."""


@dataclass(frozen=True, kw_only=True)
class RunningProduct(GeneratedTask, ABC):
    """Tokens are drawn uniformly; the label of a position is what all tokens so far come to."""

    length: int = 64
    """Positions of the training sequences."""

    examples: ClassVar[dict[Split, int]] = {"train": 1024, "validation": 512, "test": 1024}
    protocol: ClassVar[Protocol] = Protocol(steps=1000, batch=64, width=64, depth=1)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise SpecError(f"The option 'length' must be at least 1, not {self.length}.")

    @property
    @abstractmethod
    def order(self) -> int:
        """Different tokens, and as many labels."""

    @abstractmethod
    def products(self, tokens: Int[Tensor, "b l"]) -> Int[Tensor, "b l"]:
        """Return what the tokens up to each position come to."""

    @property
    def inputs(self) -> Tokens:
        """The elements."""
        return Tokens(self.order)

    @property
    def outputs(self) -> StepLabels:
        """The running product, at every position; `sequence_accuracy` asks for all of them."""
        return StepLabels(self.order)

    @property
    def max_length(self) -> int:
        """The training sequence; further evaluations are longer."""
        return self.length

    @property
    def causal(self) -> bool:
        """A label belongs to the past."""
        return True

    @property
    def chance(self) -> float:
        """Every label is as likely as every other."""
        return 1 / self.order

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences of the training length."""
        return self.drawn(n, self.length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any length."""
        tokens = torch.randint(self.order, (n, length), generator=rng)
        return Batch(tokens, self.products(tokens))

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask the trained network about sequences two and four times as long."""
        lengths = [factor * self.length for factor in FACTORS]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(self.examples["test"], l, rng))
