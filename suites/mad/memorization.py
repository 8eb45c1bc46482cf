"""Say the value of a key as it was learned by heart in training: memory in the weights.

Source: arXiv 2403.17844, its probe "memorization": training and test share the facts.

Axes: b batch, l positions, c classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import (
    IGNORED,
    Batch,
    Protocol,
    SpecError,
    Split,
    one_hot,
    stream,
)
from suites._options import by_default, within
from suites._tokens import TokenTask


@final
@dataclass(frozen=True, kw_only=True)
class Memorization(TokenTask):
    """key, marker, key, marker ...: at each marker the value that belongs to the key, always."""

    length: int = 32
    """Positions."""
    vocabulary: int = 256
    """Keys, values and the marker; so the task has (vocabulary - 1) // 2 facts."""

    examples: ClassVar[dict[Split, int]] = {"train": 256, "validation": 640, "test": 1280}
    protocol: ClassVar[Protocol] = Protocol(steps=400, batch=128, width=128, depth=2)

    def __post_init__(self) -> None:
        within("length", self.length, 1)
        within("vocabulary", self.vocabulary, 1)
        if self.vocabulary < 5 or self.length < 2 or self.length % 2:
            raise SpecError(
                "The length must be even and positive and the vocabulary at least 5, not "
                f"length={self.length}, vocabulary={self.vocabulary}."
            )

    @property
    def facts(self) -> Int[Tensor, " k"]:
        """The value of each key, no two keys sharing one; the same in every process."""
        keys = (self.vocabulary - 1) // 2
        own = stream("mad/memorization", self.version, "facts", self.vocabulary)
        return torch.randperm(self.vocabulary - 1 - keys, generator=own)[:keys] + keys

    @property
    def size(self) -> int:
        """The vocabulary."""
        return self.vocabulary

    @property
    def max_length(self) -> int:
        """The sequence."""
        return self.length

    @property
    def chance(self) -> float:
        """The value of any key."""
        return 1 / ((self.vocabulary - 1) // 2)

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What is learned by heart of the mean of the keys so far."""
        return by_default(self, {"linear model": 0.020})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw keys with replacement."""
        facts = self.facts
        keys = torch.randint(len(facts), (n, self.length // 2), generator=rng)
        markers = torch.full_like(keys, self.vocabulary - 1)
        values = facts[keys]
        targets = torch.stack([torch.full_like(values, IGNORED), values], 2)
        return Batch(torch.stack([keys, markers], 2).flatten(1), targets.flatten(1))

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Look the key before each marker up in the facts, one by one."""
        facts = self.facts.tolist()
        rows = [[facts[t] if t < len(facts) else 0 for t in row] for row in batch.inputs.tolist()]
        return one_hot(torch.tensor(rows).roll(1, 1), self.vocabulary)
