"""What a text can be asked without a label: objectives over tokens.

Blouir et al. 2024, "Birdie", section 3 and appendix A: each class of objectives has settings, and
every combination is a configuration of its own. A prompt is a list of tokens, and so is an answer;
those from `vocabulary` on are marks. What leaves gaps is in `harness.training.gaps`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch

Sample = tuple[list[int], list[int]]
"""A prompt and its answer."""
LEAST = 8
"""Tokens of a text below which nothing is asked of it."""
GO, DONE, GAP, COPY, START, END, CONTEXT = range(7)
"""Marks, counted from the end of the vocabulary; the tokens of classes follow."""
MARKS = 7


@dataclass(frozen=True, kw_only=True)
class Objective(ABC):
    """One configuration: how a sample is made of a piece of text."""

    kind: ClassVar[str]
    shares: tuple[float, float] = (1.0, 1.0)
    """The shortest and the longest piece, as shares of a row."""

    @property
    def growth(self) -> tuple[float, int]:
        """The most tokens that a sample has: for each of its piece, and beside."""
        return 1.0, 2

    @abstractmethod
    def write(self, text: list[int], vocabulary: int, rng: torch.Generator) -> Sample:
        """Make a sample of a piece of text; marks are `vocabulary + GO` and so on."""

    @final
    def longest(self, room: int) -> int:
        """Return the longest piece whose sample fits into so many tokens."""
        each, beside = self.growth
        return int((room - beside) / each)


@final
@dataclass(frozen=True, kw_only=True)
class NextToken(Objective):
    """Each token is predicted from those before it."""

    kind = "next-token"

    def write(self, text: list[int], vocabulary: int, rng: torch.Generator) -> Sample:  # noqa: ARG002
        """Ask for all of it."""
        return [], text


@final
@dataclass(frozen=True, kw_only=True)
class Prefix(Objective):
    """The end of a text is written behind its beginning."""

    kind = "prefix"
    split: float = 0.75
    """Share that is given."""

    def write(self, text: list[int], vocabulary: int, rng: torch.Generator) -> Sample:  # noqa: ARG002
        """Ask for the rest."""
        at = int(self.split * len(text))
        return text[:at], text[at:]


@final
@dataclass(frozen=True, kw_only=True)
class Copying(Objective):
    """A text is written again."""

    kind = "copy"

    @property
    def growth(self) -> tuple[float, int]:
        """Twice the piece."""
        return 2.0, 2

    def write(self, text: list[int], vocabulary: int, rng: torch.Generator) -> Sample:  # noqa: ARG002
        """Ask for all of what is given."""
        return text, text


@final
@dataclass(frozen=True, kw_only=True)
class Deshuffling(Objective):
    """A text is written in its order, of which some tokens had changed places."""

    kind = "deshuffle"
    shuffled: float = 1.0
    """Share of the tokens that change places with each other."""

    @property
    def growth(self) -> tuple[float, int]:
        """Twice the piece."""
        return 2.0, 2

    def write(self, text: list[int], vocabulary: int, rng: torch.Generator) -> Sample:  # noqa: ARG002
        """Let some of the tokens change places."""
        order = torch.randperm(len(text), generator=rng).tolist()
        moved = sorted(order[: round(self.shuffled * len(text))])
        prompt = list(text)
        for at, other in zip(moved, order, strict=False):
            prompt[at] = text[other]
        return prompt, text


@final
@dataclass(frozen=True, kw_only=True)
class SelectiveCopying(Objective):
    """Spans are found again in a text by what stands around each, and written one after the other.

    The paper's have 4 to 32 tokens between neighbours of 1 to 8; here they are a quarter of that.
    """

    kind = "selective-copy"
    count: int = 1
    """Spans at once, or as many as there is room for."""
    before: bool = True
    """Whether what is asked for stands before the text or behind it."""

    LONGEST: ClassVar[int] = 8
    AROUND: ClassVar[int] = 2

    @property
    def growth(self) -> tuple[float, int]:
        """The piece, and for each span itself, its neighbours and their marks."""
        return 1.0, 5 + self.count * (self.LONGEST + 2 * self.AROUND + 2)

    def write(self, text: list[int], vocabulary: int, rng: torch.Generator) -> Sample:
        """Draw spans, each in a part of the text of its own, in any order."""
        count = max(1, min(self.count, len(text) // LEAST))
        query, answer = [vocabulary + COPY], []
        for part in torch.randperm(count, generator=rng).tolist():
            first, last = part * len(text) // count, (part + 1) * len(text) // count
            around = below(1, self.AROUND + 1, rng)
            longest = min(self.LONGEST, last - first - 2 * around)
            size = below(min(4, longest), longest + 1, rng)
            start = below(first + around, last - around - size + 1, rng)
            end = start + size
            query += [vocabulary + START, *text[start - around : start]]
            query += [vocabulary + END, *text[end : end + around]]
            answer += text[start:end]
        context = [vocabulary + CONTEXT, *text]
        return query + context if self.before else context + query, [*answer, vocabulary + DONE]


def below(first: int, end: int, rng: torch.Generator) -> int:
    """Draw a number from the first one to below the end."""
    return int(torch.randint(first, end, (), generator=rng))
