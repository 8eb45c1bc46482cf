"""Look up pairs that stand among words: does it matter where, and how long the text is?

Multi-query recall (Arora et al. 2023, arXiv 2312.04927) by place and distance: every text holds as
many pairs. With names and numbers of several tokens it is a phone book.

Axes: b batch, l positions, p pairs, e tokens of a pair, s tokens of a name or number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import IGNORED, Batch, Evaluation, Protocol, SpecError, one_hot, stream
from suites._options import within
from suites._tokens import TokenTask
from suites.recall._haystack import ASK, KEYS, SIZE, TOKENS, VALUES, WORDS

FACTORS = (1, 2, 4, 8)
"""How many times longer than in training the texts of the further evaluations are."""
DEPTHS = 5
"""Places at which each length is asked: the first pairs, the last ones, and those between."""
LARGEST = 8
"""Tokens of a name or a number."""


@final
@dataclass(frozen=True, kw_only=True)
class ByPosition(TokenTask):
    """`name number` at random places among words, then `ask name number` for some of the names.

    The answer is written: labels stand where a language model predicts, on the position before
    their token.
    """

    length: int = 128
    """Positions of the training texts."""
    pairs: int = 8
    """In every text, however long."""
    questions: int = 4
    """Names that are asked for, each of another pair."""
    syllables: int = 1
    """Tokens of a name."""
    digits: int = 1
    """Tokens of a number."""

    protocol: ClassVar[Protocol] = Protocol(steps=3000, batch=64, width=64, depth=2, lr_scale=3)

    def __post_init__(self) -> None:
        within("pairs", self.pairs, 1, SIZE)
        within("questions", self.questions, 1, self.pairs)
        within("syllables", self.syllables, 1, LARGEST)
        within("digits", self.digits, 1, LARGEST)
        within("length", self.length, 1)
        least = self.pairs * self.entry + self.asked
        if self.length < least:
            raise SpecError(
                f"{self.pairs} pairs and {self.questions} questions need a length of at least "
                f"{least}, not {self.length}."
            )

    @property
    def entry(self) -> int:
        """Tokens of a pair."""
        return self.syllables + self.digits

    @property
    def asked(self) -> int:
        """Positions of all questions, with their answers but for the last token of each."""
        return self.questions * self.entry

    @property
    def size(self) -> int:
        """A sign, and tokens of names, of numbers, and of neither."""
        return TOKENS

    @property
    def max_length(self) -> int:
        """Text and questions; further evaluations are longer."""
        return self.length

    @property
    def chance(self) -> float:
        """Any token of a number."""
        return 1 / SIZE

    @property
    def recalls(self) -> int:
        """All tokens of all numbers."""
        return self.pairs * self.digits

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The number of any pair."""
        share = 1 / self.pairs
        return {"value of any pair": share} if share > self.chance and self.pairs > 1 else {}

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw texts of the training length."""
        return self.drawn(n, self.length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator, depth: float | None = None) -> Batch:
        """Draw texts of any length.

        Args:
            n: How many.
            length: Positions.
            rng: A CPU generator.
            depth: Which pairs are asked, next to each other: 0 for the first, 1 for the last ones;
                None for any.
        """
        entries = self.entries(n, rng)
        free = length - self.asked - self.pairs * self.entry
        # Places between words are drawn; each pair is moved on by those before it.
        gaps = torch.rand(n, free + self.pairs, generator=rng).topk(self.pairs).indices.sort(1)[0]
        starts = gaps + torch.arange(self.pairs) * (self.entry - 1)
        text = torch.randint(WORDS, TOKENS, (n, length - self.asked), generator=rng)
        places = starts[..., None] + torch.arange(self.entry)
        text.scatter_(1, places.flatten(1), entries.flatten(1))
        order = torch.rand(n, self.pairs, generator=rng)
        if depth is not None:
            first = round(depth * (self.pairs - self.questions))
            order[:, first : first + self.questions] += 1
        chosen = order.topk(self.questions).indices
        answered = entries.gather(1, chosen[..., None].expand(-1, -1, self.entry))
        sign = torch.full_like(answered[..., :1], ASK)
        written = torch.cat([sign, answered], 2)
        question, following = written[..., :-1].flatten(1), written[..., 1:].flatten(1)
        labels = following.where((following >= VALUES) & (following < WORDS), IGNORED)
        unasked = torch.full_like(text, IGNORED)
        return Batch(torch.cat([text, question], 1), torch.cat([unasked, labels], 1))

    def entries(self, n: int, rng: torch.Generator) -> Int[Tensor, "b p e"]:
        """Draw pairs in the order in which they will stand, all of other names and other numbers.

        Otherwise a number that stands there twice would be the better guess.
        """
        parts = (different(n, self.pairs, s, rng) for s in (self.syllables, self.digits))
        kinds = torch.tensor([KEYS] * self.syllables + [VALUES] * self.digits)
        return torch.cat([*parts], 2) + kinds

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask for any pairs of longer texts, and at every length for pairs at each depth."""

        def made(name: str, length: int, depth: float | None) -> Evaluation:
            rng = stream(self.name, self.version, name)
            count = max(64, 256 * self.length // length)
            return Evaluation(self.drawn(count, length, rng, depth))

        lengths = [factor * self.length for factor in FACTORS]
        sets: dict[str, tuple[int, float | None]]
        sets = {f"length-{length}": (length, None) for length in lengths[1:]}
        depths = [step / (DEPTHS - 1) for step in range(DEPTHS)]
        sets |= {
            f"length-{length}-depth-{100 * depth:.0f}": (length, depth)
            for length in lengths
            for depth in depths
        }
        return {name: partial(made, name, *values) for name, values in sets.items()}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Read from the left, note what stands behind every name, and say it where it is asked."""
        found = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            start, known = tokens.index(ASK), dict[tuple[int, ...], list[int]]()
            for place in range(start):
                name = tuple(tokens[place : place + self.syllables])
                if all(KEYS <= token < VALUES for token in name):
                    known.setdefault(name, tokens[place + self.syllables : place + self.entry])
            for place in range(start, len(tokens), self.entry):
                asked = tuple(tokens[place + 1 : place + 1 + self.syllables])
                found[row, place + self.syllables : place + self.entry] = torch.tensor(known[asked])
        return one_hot(found, self.size)


def different(n: int, count: int, size: int, rng: torch.Generator) -> Int[Tensor, "b p s"]:
    """Draw names or numbers of so many tokens, no two of a text alike in their first two."""
    told = min(size, 2)
    lots = torch.rand(n, SIZE**told, generator=rng).topk(count).indices[..., None]
    first = lots // SIZE ** torch.arange(told) % SIZE
    return torch.cat([first, torch.randint(SIZE, (n, count, size - told), generator=rng)], 2)
