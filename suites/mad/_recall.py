"""What the recall probes share: trained as language models, scored where recall is asked for.

Source: Poli et al. 2024, "Mechanistic Design and Scaling of Hybrid Architectures", arXiv
2403.17844, and the generators of athms/mad-lab, whose rules are followed and whose draws are not.

Axes: b batch, l positions, s = l + 1 tokens, p pairs, c classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from harness.api import (
    IGNORED,
    Batch,
    Protocol,
    Split,
)
from suites._tokens import TokenTask


class RecallTask(TokenTask, ABC):
    """Training labels stand at every position, labels of the other splits where recall is asked.

    So the training loss and the scores are of different things, as in the source.
    """

    examples: ClassVar[dict[Split, int]] = {"train": 1280, "validation": 640, "test": 1280}
    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=64, width=128, depth=2)

    @abstractmethod
    def written(
        self, n: int, rng: torch.Generator, *, training: bool
    ) -> tuple[Int[Tensor, "b s"], Bool[Tensor, "b s"]]:
        """Draw token sequences, and mark the tokens that must be recalled."""

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw examples that are labelled where recall is asked."""
        tokens, asked = self.written(n, rng, training=False)
        return Batch(tokens[:, :-1], tokens[:, 1:].where(asked[:, 1:], IGNORED))

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Yield fresh examples without end, labelled at every position."""
        rng = self.training_stream(draw, "train", "every position")
        while True:
            tokens, _ = self.written(size, rng, training=True)
            yield Batch(tokens[:, :-1], tokens[:, 1:])


def repeated(
    keys: Int[Tensor, "b p"], counts: Bool[Tensor, "b p"] | None = None
) -> Bool[Tensor, "b p"]:
    """Say of each key whether it stood at an earlier place; places that do not count are none."""
    same = (keys[:, :, None] == keys[:, None]).tril(-1)
    return (same if counts is None else same & counts[:, None]).any(2)


def one_of(mask: Bool[Tensor, "b p"], rng: torch.Generator) -> Int[Tensor, " b"]:
    """Draw one of each row's places that are marked."""
    lots = torch.rand(mask.shape, generator=rng, dtype=torch.float64)
    return lots.masked_fill(~mask, -1.0).argmax(1)
