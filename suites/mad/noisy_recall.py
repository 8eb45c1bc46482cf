"""Recall the value of a key seen earlier among noise that must be passed over.

Source: arXiv 2403.17844, its probe "noisy in-context recall".

Axes: b batch, s tokens, l positions, c classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch, SpecError, one_hot
from suites._options import by_default, within
from suites.mad._recall import RecallTask, one_of, repeated


@final
@dataclass(frozen=True, kw_only=True)
class NoisyRecall(RecallTask):
    """As `mad/recall`, but two noise tokens may stand in the place of a pair."""

    version: ClassVar[int] = 2

    length: int = 128
    """Tokens written; the last is only a label."""
    vocabulary: int = 32
    """Keys, as many values, and the noise."""
    noise: int = 16
    """Tokens that mean nothing."""
    share: float = 0.2
    """Of the pairs that noise replaces; at least one pair is kept."""

    def __post_init__(self) -> None:
        within("length", self.length, 1)
        within("vocabulary", self.vocabulary, 1)
        within("noise", self.noise, 1)
        if self.length < 4 or self.length % 2 or not 0 <= self.share <= 1:
            raise SpecError(
                "The length must be even and at least 4, and 0 <= share <= 1, not "
                f"length={self.length}, share={self.share}."
            )
        if self.vocabulary - self.noise < 4 or (self.vocabulary - self.noise) % 2:
            raise SpecError(
                "Without the noise an even number of tokens, at least 4, must be left, not "
                f"{self.vocabulary - self.noise} of vocabulary={self.vocabulary}."
            )

    @property
    def size(self) -> int:
        """Keys, values and noise."""
        return self.vocabulary

    @property
    def max_length(self) -> int:
        """All tokens but the last."""
        return self.length - 1

    @property
    def chance(self) -> float:
        """Any value."""
        return 2 / (self.vocabulary - self.noise)

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Of the values seen so far the commonest."""
        return by_default(self, {"commonest value": 0.320})

    def written(
        self,
        n: int,
        rng: torch.Generator,
        *,
        training: bool,  # noqa: ARG002 - alike in all splits
    ) -> tuple[Int[Tensor, "b s"], Bool[Tensor, "b s"]]:
        """Draw as for recall, but replace pairs, save one and the last, whose key is one shown."""
        half, pairs = (self.vocabulary - self.noise) // 2, self.length // 2
        known = torch.randint(half, (n, half), generator=rng) + half
        keys = torch.randint(half, (n, pairs), generator=rng)
        pure = torch.rand(n, pairs, generator=rng, dtype=torch.float64) >= self.share
        kept = torch.randint(pairs - 1, (n, 1), generator=rng)
        pure.scatter_(1, kept, value=True)
        pure[:, -1] = True
        # A key that only noise has replaced was never shown.
        shown = (F.one_hot(keys[:, :-1], half).bool() & pure[:, :-1, None]).any(1)
        keys[:, -1] = one_of(shown, rng)
        again = repeated(keys, pure) & pure
        tokens = torch.stack([keys, known.gather(1, keys)], 2)
        drawn = torch.randint(self.noise, tokens.shape, generator=rng) + 2 * half
        written = tokens.where(pure[..., None], drawn).flatten(1)
        return written, torch.stack([torch.zeros_like(again), again], 2).flatten(1)

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Keep a dictionary of the pairs whose key is one."""
        half = (self.vocabulary - self.noise) // 2
        answers = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            known: dict[int, int] = {}
            for place, key in enumerate(tokens[::2]):
                answers[row, 2 * place] = known.get(key, 0)
                if key < half and 2 * place + 1 < len(tokens):
                    known[key] = tokens[2 * place + 1]
        return one_hot(answers, self.size)
