"""Answer many questions about pairs seen once: does the state hold more than one association?

Source: multi-query associative recall of Arora et al. 2023, "Zoology", arXiv 2312.04927, and its
generator in HazyResearch/zoology.

Axes: b batch, l positions, p pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import (
    IGNORED,
    Batch,
    Evaluation,
    Protocol,
    SpecError,
    one_hot,
    stream,
)
from suites._options import within
from suites._tokens import TokenTask

POWER = 0.01
"""a: slot i is asked with a probability proportional to i^(a - 1), soon rather than late."""


@final
@dataclass(frozen=True, kw_only=True)
class Mqar(TokenTask):
    """k1 v1 k2 v2 ..., then each key once more among noise; its value is the label at that place.

    Keys are drawn without replacement from the lower half of the vocabulary, values from the upper;
    noise from all of it, so it may look like a key or a value. The value is not written behind the
    question.
    """

    length: int = 64
    """Positions."""
    pairs: int = 8
    """Associations to be held at once."""
    vocabulary: int = 256
    """Tokens; the published settings have 8,192."""

    protocol: ClassVar[Protocol] = Protocol(steps=2500, batch=64, width=64, depth=2, lr_scale=3)

    def __post_init__(self) -> None:
        within("pairs", self.pairs, 1)
        within("length", self.length, 1)
        within("vocabulary", self.vocabulary, 2)
        if self.length % 2 or self.length < 4 * self.pairs:
            raise SpecError(
                f"The length must be even and at least 4 x pairs = {4 * self.pairs}, not "
                f"{self.length}."
            )
        if self.vocabulary <= self.length:
            raise SpecError(
                f"The vocabulary must exceed the length {self.length}, not be {self.vocabulary}."
            )

    @property
    def size(self) -> int:
        """The vocabulary."""
        return self.vocabulary

    @property
    def max_length(self) -> int:
        """Pairs, questions and noise."""
        return self.length

    @property
    def chance(self) -> float:
        """Any value."""
        return 1 / (self.vocabulary - self.vocabulary // 2)

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Always the same one of the values that were shown."""
        return {"first value": 1 / self.pairs}

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences."""
        return self.drawn(n, self.length, self.pairs, rng)

    def drawn(self, n: int, length: int, pairs: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any length with any number of pairs."""
        half = self.vocabulary // 2
        keys = chosen(torch.ones(n, half - 1), pairs, rng) + 1
        values = chosen(torch.ones(n, self.vocabulary - half), pairs, rng) + half
        slots = (length - 2 * pairs) // 2
        likely = torch.arange(1, slots + 1, dtype=torch.float64) ** (POWER - 1)
        places = 2 * pairs + 2 * chosen(likely.expand(n, -1), pairs, rng)
        inputs = torch.randint(self.vocabulary, (n, length), generator=rng)
        inputs[:, : 2 * pairs] = torch.stack([keys, values], 2).flatten(1)
        targets = torch.full_like(inputs, IGNORED)
        return Batch(inputs.scatter(1, places, keys), targets.scatter(1, places, values))

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask the trained network for twice and four times as many pairs, in as much more text."""

        def fuller(factor: int) -> Evaluation:
            rng = stream(self.name, self.version, "fuller", factor)
            return Evaluation(self.drawn(256, factor * self.length, factor * self.pairs, rng))

        factors = [f for f in (2, 4) if f * self.length < self.vocabulary]
        return {f"pairs-{factor * self.pairs}": partial(fuller, factor) for factor in factors}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l v"]:
        """Keep a dictionary of the pairs, row by row, and look every later token up.

        Noise that happens to be a key gets an answer too, which nobody asks for.
        """
        answers = torch.zeros_like(batch.inputs)
        start = 2 * self.pairs * batch.inputs.shape[1] // self.length
        for row, tokens in enumerate(batch.inputs.tolist()):
            known = dict(zip(tokens[:start:2], tokens[1:start:2], strict=True))
            answers[row] = torch.tensor([known.get(token, 0) for token in tokens])
        return one_hot(answers, self.vocabulary)


def chosen(weights: Float[Tensor, "b c"], count: int, rng: torch.Generator) -> Int[Tensor, "b p"]:
    """Draw numbers without replacement, each next one with a probability as its weight.

    By the exponential race: the smallest of E_i / w_i, with E_i exponential, come in that order.
    """
    uniform = torch.rand(weights.shape, generator=rng, dtype=torch.float64)
    race = -torch.log1p(-uniform) / weights
    return race.topk(count, largest=False).indices
