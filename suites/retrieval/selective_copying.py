"""Give back the tokens that stood among blanks, in order: does the model choose what to keep?

Source: Gu and Dao 2023, "Mamba", arXiv 2312.00752, section 4.1.1, whose setting is length 4,096,
16 tokens and a vocabulary of 16; also one of the six probes of arXiv 2403.17844, where the last
token always stands right before the marker and here may stand anywhere.

Axes: b batch, l positions, c classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from harness.api import (
    IGNORED,
    Batch,
    Protocol,
    SpecError,
    one_hot,
)
from suites._options import by_default, within
from suites._tokens import TokenTask


@final
@dataclass(frozen=True, kw_only=True)
class SelectiveCopying(TokenTask):
    """Tokens at random places among blanks, a marker, and as many blanks, at which they are asked.

    The answer is not fed back: the model sees blanks while it gives the tokens back.
    """

    length: int = 256
    """Positions, those of the answer included."""
    tokens: int = 16
    """To be kept."""
    vocabulary: int = 16
    """Tokens, the blank and the marker among them."""

    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=64, width=64, depth=2)

    def __post_init__(self) -> None:
        # With three, the one content is always right.
        within("vocabulary", self.vocabulary, 4)
        within("tokens", self.tokens, 1)
        within("length", self.length, 1)
        if self.length <= 2 * self.tokens + 1:
            raise SpecError(
                "The options must hold length > 2 tokens + 1, not "
                f"tokens={self.tokens}, length={self.length}."
            )

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
        """Any content."""
        return 1 / (self.vocabulary - 2)

    @property
    def recalls(self) -> int:
        """All tokens that are not blank."""
        return self.tokens

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The commonest content; trees also know which came first and which last."""
        return by_default(self, {"commonest value": 0.204, "boosted trees": 0.265})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw contents and the places at which they stand."""
        blank, marker = self.vocabulary - 2, self.vocabulary - 1
        contents = torch.randint(blank, (n, self.tokens), generator=rng)
        room = self.length - self.tokens - 1
        lots = torch.rand(n, room, generator=rng, dtype=torch.float64)
        places = lots.topk(self.tokens).indices.sort().values
        inputs = torch.full((n, self.length), blank).scatter_(1, places, contents)
        inputs[:, room] = marker
        return Batch(inputs, F.pad(contents, (self.length - self.tokens, 0), value=IGNORED))

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Read what is no blank before the marker."""
        kept = [[t for t in row if t < self.vocabulary - 2] for row in batch.inputs.tolist()]
        answers = F.pad(torch.tensor(kept), (self.length - self.tokens, 0))
        return one_hot(answers, self.vocabulary)
