"""What tasks in a haystack share: words that mean nothing, with facts of three tokens among them.

In the manner of RULER (Hsieh et al. 2024, arXiv 2404.06654), with tokens instead of English.

Axes: b batch, h positions of the haystack, f facts, q positions of the question.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import IGNORED, Batch, Evaluation, Protocol, SpecError, one_hot, stream
from suites._options import within
from suites._tokens import TokenTask

FACT, ASK = 0, 1
SIZE = 64
"""Different keys, different values, and different words that are neither."""
KEYS, VALUES, WORDS = range(2, 2 + 3 * SIZE, SIZE)
"""The first token of each kind."""
TOKENS = WORDS + SIZE
FACTORS = (4, 16, 64)
"""How many times longer than in training the texts of the further evaluations are."""


@dataclass(frozen=True, kw_only=True)
class Haystack(TokenTask, ABC):
    """Facts stand at random places among words, keys and values that nobody asks for."""

    length: int = 256
    """Positions of the training texts."""

    protocol: ClassVar[Protocol] = Protocol(steps=3000, batch=32, width=64, depth=2, lr_scale=3)

    def __post_init__(self) -> None:
        within("length", self.length, 8)
        if self.room < self.facts:
            raise SpecError(
                f"{self.facts} facts and their question need more than {self.length} positions."
            )

    @property
    @abstractmethod
    def facts(self) -> int:
        """Facts in a text."""

    @property
    @abstractmethod
    def asked(self) -> int:
        """Positions of the question, with all of its answer but the last token."""

    @abstractmethod
    def told(
        self, n: int, rng: torch.Generator
    ) -> tuple[Int[Tensor, "b f 2"], Int[Tensor, "b q"], Int[Tensor, "b q"]]:
        """Draw facts in the order in which they will stand, a question, and its labels."""

    @abstractmethod
    def answer(self, facts: list[tuple[int, int]], question: list[int]) -> list[int]:
        """Return a label for each position of a question, of which unlabelled ones do not count."""

    @property
    def room(self) -> int:
        """Places at which a fact may stand in a text of training."""
        return (self.length - self.asked) // 3

    @property
    def size(self) -> int:
        """Two signs, keys, values and words."""
        return TOKENS

    @property
    def max_length(self) -> int:
        """Haystack and question; further evaluations are longer."""
        return self.length

    @property
    def chance(self) -> float:
        """Any value."""
        return 1 / SIZE

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw texts of the training length."""
        return self.drawn(n, self.length, rng)

    def drawn(
        self, n: int, length: int, rng: torch.Generator, depth: tuple[float, float] = (0.0, 1.0)
    ) -> Batch:
        """Draw texts of any length.

        Args:
            n: How many.
            length: Positions.
            rng: A CPU generator.
            depth: Shares of the haystack between which facts may stand.
        """
        facts, question, labels = self.told(n, rng)
        places = (length - self.asked) // 3
        low, high = round(depth[0] * places), round(depth[1] * places)
        lots = torch.rand(n, max(high - low, self.facts), generator=rng, dtype=torch.float64)
        low = min(low, places - lots.shape[1])
        chosen = 3 * (lots.topk(self.facts).indices.sort(1).values + low)
        hay = torch.randint(KEYS, TOKENS, (n, length - self.asked), generator=rng)
        for offset, tokens in enumerate((torch.tensor(FACT), facts[..., 0], facts[..., 1])):
            hay.scatter_(1, chosen + offset, tokens.expand_as(chosen))
        unasked = torch.full_like(hay, IGNORED)
        return Batch(torch.cat([hay, question], 1), torch.cat([unasked, labels], 1))

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask for facts in each fifth of a text, and in texts 4, 16 and 64 times as long."""

        def made(name: str, length: int, depth: tuple[float, float]) -> Evaluation:
            rng = stream(self.name, self.version, name)
            count = max(64, 256 * self.length // length)
            return Evaluation(self.drawn(count, length, rng, depth))

        sets = {
            f"depth-{20 * fifth}-{20 * fifth + 20}": (self.length, (fifth / 5, (fifth + 1) / 5))
            for fifth in range(5)
        }
        for length in (each * self.length for each in FACTORS):
            sets[f"length-{length}"] = (length, (0.0, 1.0))
        return {name: partial(made, name, *values) for name, values in sets.items()}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Read from the left, keep every fact, and answer what stands behind."""
        found = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            start = tokens.index(ASK)
            facts = [
                (tokens[place + 1], tokens[place + 2])
                for place, token in enumerate(tokens[:start])
                if token == FACT
            ]
            found[row, start:] = torch.tensor(self.answer(facts, tokens[start:]))
        return one_hot(found, self.size)


def different(n: int, count: int, first: int, rng: torch.Generator) -> Int[Tensor, "b f"]:
    """Draw tokens of one kind, no two of a text alike."""
    return torch.rand(n, SIZE, generator=rng, dtype=torch.float64).topk(count).indices + first
