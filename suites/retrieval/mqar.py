"""Answer many questions about pairs seen once: does the state hold more than one association?

Source: multi-query associative recall of Arora et al. 2023, "Zoology", arXiv 2312.04927, and its
generators in HazyResearch/zoology, of which the forgetting and the compositional variant are too.
The chained one is of this project.

Axes: b batch, l positions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import IGNORED, Batch, Evaluation, Protocol, SpecError, one_hot, stream
from suites._options import within
from suites._tokens import TokenTask
from suites.retrieval._associations import VARIANTS, Variant, chosen

POWER = 0.01
"""a: slot i is asked with a probability proportional to i^(a - 1), soon rather than late."""


@final
@dataclass(frozen=True, kw_only=True)
class Mqar(TokenTask):
    """k1 v1 k2 v2 ..., then each key once more among noise; its value is the label at that place.

    Keys are drawn without replacement from the lower half of the vocabulary, values from the upper;
    noise from all of it, so it may look like a key or a value. The value is not written behind the
    question. Tokens of compositional keys and values have a third of the vocabulary each.
    """

    length: int = 64
    """Positions."""
    pairs: int = 8
    """Associations to be held at once."""
    vocabulary: int = 256
    """Tokens; the published settings have 8,192."""
    variant: Literal["plain", "forgetting", "compositional", "chained"] = "plain"
    """Each key once; half of them once more with a new value; keys of two tokens, both of which
    matter; or half of the keys lead to another key, whose value is asked for."""

    protocol: ClassVar[Protocol] = Protocol(steps=2500, batch=64, width=64, depth=2, lr_scale=3)

    def __post_init__(self) -> None:
        within("pairs", self.pairs, 1)
        within("length", self.length, 1)
        within("vocabulary", self.vocabulary, 2)
        if lacking := self.rules.fits(self.pairs):
            raise SpecError(f"The {self.variant} variant needs {lacking}, not {self.pairs}.")
        least = self.rules.size(self.pairs) + self.slot * self.rules.asked(self.pairs)
        if self.length % 2 or self.length < least:
            raise SpecError(
                f"With {self.pairs} pairs the length must be even and at least {least}, not "
                f"{self.length}."
            )
        if self.vocabulary <= self.length:
            raise SpecError(
                f"The vocabulary must exceed the length {self.length}, not be {self.vocabulary}."
            )

    @property
    def rules(self) -> Variant:
        """What is written and asked."""
        return VARIANTS[self.variant]

    @property
    def slot(self) -> int:
        """Positions of a question, with one at least behind it."""
        return self.rules.key + 1

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
        parts = self.rules.key + 1
        return 1 / (self.vocabulary - self.rules.key * (self.vocabulary // parts))

    @property
    def recalls(self) -> int:
        """All keys that are asked."""
        return self.rules.asked(self.pairs)

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What the variant says."""
        return self.rules.ways(self.pairs)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences."""
        return self.drawn(n, self.length, self.pairs, rng)

    def drawn(self, n: int, length: int, pairs: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any length with any number of pairs."""
        written = self.rules.draw(n, pairs, self.vocabulary, rng)
        context = self.rules.size(pairs)
        slots = (length - context) // self.slot
        likely = torch.arange(1, slots + 1, dtype=torch.float64) ** (POWER - 1)
        drawn = chosen(likely.expand(n, -1), self.rules.asked(pairs), rng)
        places = context + self.slot * drawn
        inputs = torch.randint(self.vocabulary, (n, length), generator=rng)
        inputs[:, :context] = written.context
        targets = torch.full_like(inputs, IGNORED)
        for token in written.keys.unbind(2):
            inputs.scatter_(1, places, token)
            places = places + 1
        return Batch(inputs, targets.scatter(1, places - 1, written.values))

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask the trained network for twice and four times as many pairs, in as much more text."""

        def fuller(factor: int) -> Evaluation:
            rng = stream(self.name, self.version, "fuller", factor)
            return Evaluation(self.drawn(256, factor * self.length, factor * self.pairs, rng))

        factors = [f for f in (2, 4) if f * self.length < self.vocabulary]
        return {f"pairs-{factor * self.pairs}": partial(fuller, factor) for factor in factors}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l v"]:
        """Keep a dictionary of the pairs, row by row, and look every later key up.

        Noise that happens to be a key gets an answer too, which nobody asks for.
        """
        answers = torch.zeros_like(batch.inputs)
        factor, key = batch.inputs.shape[1] // self.length, self.rules.key
        start = self.rules.size(factor * self.pairs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            known = self.rules.read(tokens[:start])
            keys = (tuple(tokens[max(0, end - key) : end]) for end in range(1, len(tokens) + 1))
            answers[row] = torch.tensor([known.get(each, 0) for each in keys])
        return one_hot(answers, self.vocabulary)
