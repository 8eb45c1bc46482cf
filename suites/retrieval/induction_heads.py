"""Say what followed the special token before, when it comes again: from 256 to 16,384 positions.

Source: Gu and Dao 2023, "Mamba", arXiv 2312.00752, section 4.1.2: trained at 256, asked at 64 to
1,048,576, of which the evaluations here go to 16,384.

Axes: b batch, l positions, c classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import (
    Batch,
    Evaluation,
    GeneratedTask,
    OneLabel,
    Protocol,
    Split,
    Tokens,
    one_hot,
)
from suites._lengths import at_lengths
from suites._options import by_default, within

EXAMPLES = 128
"""Sequences of each further length."""


@final
@dataclass(frozen=True, kw_only=True)
class InductionHeads(GeneratedTask):
    """Noise; somewhere the special token and a value behind it; at the end the special token."""

    length: int = 256
    """Positions of the training sequences."""
    vocabulary: int = 16
    """Tokens, the last of which is the special one."""

    examples: ClassVar[dict[Split, int]] = {"train": 1024, "validation": 512, "test": 1024}
    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=32, width=64, depth=2)

    def __post_init__(self) -> None:
        within("vocabulary", self.vocabulary, 3)
        within("length", self.length, 3)

    @property
    def inputs(self) -> Tokens:
        """Values, then the special token."""
        return Tokens(self.vocabulary)

    @property
    def outputs(self) -> OneLabel:
        """The value, read at the last position."""
        return OneLabel(self.vocabulary, pool="last")

    @property
    def max_length(self) -> int:
        """The training sequence; further evaluations are shorter and longer."""
        return self.length

    @property
    def causal(self) -> bool:
        """As in the paper."""
        return True

    @property
    def chance(self) -> float:
        """Any value."""
        return 1 / (self.vocabulary - 1)

    @property
    def recalls(self) -> int:
        """One token."""
        return 1

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The commonest token: the value is one of the sequence's."""
        return by_default(self, {"commonest value": 0.10})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences of the training length."""
        return self.drawn(n, self.length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any length from 3 on."""
        special = self.vocabulary - 1
        inputs = torch.randint(special, (n, length), generator=rng)
        place = torch.randint(length - 2, (n, 1), generator=rng)
        inputs.scatter_(1, place, special)
        inputs[:, -1] = special
        return Batch(inputs, inputs.gather(1, place + 1)[:, 0])

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask the trained network from a quarter of its length to sixty-four times as much."""
        lengths = [max(3, self.length * 4**power // 4) for power in (0, 2, 3, 4)]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(EXAMPLES, l, rng))

    def oracle(self, batch: Batch) -> Float[Tensor, "b c"]:
        """Search each row for the first special token."""
        rows, special = batch.inputs.tolist(), self.vocabulary - 1
        return one_hot(torch.tensor([row[row.index(special) + 1] for row in rows]), self.vocabulary)
