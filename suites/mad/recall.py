"""Recall the value of a key seen earlier in the text: in-context recall, with many questions.

Source: arXiv 2403.17844, its probe "in-context recall" in the multi-query form.

Axes: b batch, s tokens, l positions, c classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.api import Batch, SpecError, one_hot
from suites._options import by_default, within
from suites.mad._recall import RecallTask, one_of, repeated


@final
@dataclass(frozen=True, kw_only=True)
class Recall(RecallTask):
    """k v k v ...: keys come again with the values that they first had in this sequence."""

    length: int = 128
    """Tokens written; the last is only a label."""
    vocabulary: int = 16
    """Half keys, half values."""

    def __post_init__(self) -> None:
        within("length", self.length, 1)
        within("vocabulary", self.vocabulary, 1)
        if self.vocabulary < 4 or self.vocabulary % 2 or self.length < 4 or self.length % 2:
            raise SpecError(
                "Both options must be even and at least 4, not "
                f"vocabulary={self.vocabulary}, length={self.length}."
            )

    @property
    def size(self) -> int:
        """Keys and values."""
        return self.vocabulary

    @property
    def max_length(self) -> int:
        """All tokens but the last."""
        return self.length - 1

    @property
    def chance(self) -> float:
        """Any value."""
        return 2 / self.vocabulary

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Of the values seen so far the commonest: it was of the more keys."""
        return by_default(self, {"commonest value": 0.322})

    def written(
        self,
        n: int,
        rng: torch.Generator,
        *,
        training: bool,  # noqa: ARG002 - alike in all splits
    ) -> tuple[Int[Tensor, "b s"], Bool[Tensor, "b s"]]:
        """Draw a dictionary a sequence and keys with replacement; the last one repeats another."""
        half, pairs = self.vocabulary // 2, self.length // 2
        known = torch.randint(half, (n, half), generator=rng) + half
        keys = torch.randint(half, (n, pairs), generator=rng)
        shown = torch.zeros(n, half, dtype=torch.bool).scatter_(1, keys[:, :-1], value=True)
        keys[:, -1] = one_of(shown, rng)
        tokens = torch.stack([keys, known.gather(1, keys)], 2).flatten(1)
        again = repeated(keys)
        return tokens, torch.stack([torch.zeros_like(again), again], 2).flatten(1)

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Read pair after pair into a dictionary and look each key up before its value comes."""
        answers = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            known: dict[int, int] = {}
            for place in range(0, len(tokens), 2):
                key = tokens[place]
                answers[row, place] = known.get(key, 0)
                known.update({key: tokens[place + 1]} if place + 1 < len(tokens) else {})
        return one_hot(answers, self.size)
