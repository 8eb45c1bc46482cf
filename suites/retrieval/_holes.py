"""Texts in a language of a few words, with holes in some of them, and how to fill these in.

Axes: n texts, w words, e words of a text in its order, s letters or positions, m missing letters,
l positions of a text.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from suites.retrieval._cells import cells, concatenate, sign, table

Word = tuple[int, ...]


@final
@dataclass(frozen=True)
class Holes:
    """How texts are written. Tokens are letters, the space, the empty position, then markers."""

    letters: int
    copies: int
    """How often a word is written."""
    count: int
    """Holes of a text."""
    span: int
    """Letters of a hole; words have twice as many."""

    @property
    def space(self) -> int:
        """Stands behind each word."""
        return self.letters

    @property
    def blank(self) -> int:
        """Stands where a letter is asked."""
        return self.letters + 1

    @property
    def tokens(self) -> int:
        """Different ones."""
        return self.letters + 2 + self.count

    def length(self, words: int) -> int:
        """Positions of a text with its questions."""
        # A hole leaves span - 1 positions out, and its question takes span + 1.
        return words * self.copies * (2 * self.span + 1) + 2 * self.count

    def drawn(
        self, n: int, words: int, rng: torch.Generator
    ) -> tuple[Int[Tensor, "n l"], Int[Tensor, "n m"]]:
        """Draw a language, a text and the holes; returns texts and what is missing, in order."""
        size, times = 2 * self.span, words * self.copies
        language = lots(n * size, self.letters, words, rng).view(n, size, words).mT
        # The first copy of each word stays whole, wherever it comes to stand.
        spoilt = torch.zeros(n, times, dtype=torch.bool)
        spoilt.scatter_(1, words + lots(n, times - words, self.count, rng), value=True)
        order = lots(n, times, times, rng)
        text = language.gather(1, (order % words)[..., None].expand(-1, -1, size))
        holed = spoilt.gather(1, order)
        start = torch.randint(self.span + 1, (n, times, 1), generator=rng)
        missing = text.gather(2, start + torch.arange(self.span))[holed]
        place = torch.arange(size) - start
        return self.written(text, place, holed), missing.view(n, -1)

    def written(
        self,
        text: Int[Tensor, "n e s"],
        place: Int[Tensor, "n e s"],
        holed: Bool[Tensor, "n e"],
    ) -> Int[Tensor, "n l"]:
        """Write words, each hole as its marker, and the questions.

        Args:
            text: Letters.
            place: Of each letter, from the first one on that is missing if the word has a hole.
            holed: Which words have one.
        """
        inside = (place >= 0) & (place < self.span) & holed[..., None]
        marked = text.where(~inside, (holed.cumsum(1) + self.blank)[..., None])
        every = torch.ones(len(text), self.count, dtype=torch.bool)
        markers = torch.arange(self.blank + 1, self.tokens).expand(len(text), -1)[..., None]
        blanks = torch.full((len(text), self.count, self.span), self.blank)
        words = table((marked, ~inside | (place == 0)), sign(self.space, holed | ~holed))
        answers = table(cells(markers, every), cells(blanks, every))
        return concatenate([words, answers], self.space)[0]

    def filled(self, tokens: list[int]) -> list[int]:
        """Find, hole by hole, the one whole word with the letters that are left."""
        whole, holed = self.read(tokens)
        found: list[int] = []
        for word, start in holed:
            end = start + self.span
            left = word[:start] + word[start + 1 :]
            [letters] = {w[start:end] for w in whole if w[:start] + w[end:] == left}
            found += letters
        return found

    def filled_from_the_rarest(self, tokens: list[int]) -> list[int]:
        """Fill every hole from the whole word that stands in the text the fewest times.

        What is left of the word with the hole is not read, but for where the hole begins.
        """
        whole, holed = self.read(tokens)
        copies = Counter(whole)
        rarest = min(copies, key=copies.__getitem__)
        return [letter for _, start in holed for letter in rarest[start : start + self.span]]

    def read(self, tokens: list[int]) -> tuple[list[Word], list[tuple[Word, int]]]:
        """Return the whole words of a text, and those with a hole with where it begins."""
        text = tokens[: -self.count * (self.span + 1)]
        words = [tuple(word) for gap, word in groupby(text, self.space.__eq__) if not gap]
        whole = [word for word in words if max(word) < self.space]
        return whole, [(word, word.index(max(word))) for word in words if max(word) > self.space]


def lots(n: int, count: int, chosen: int, rng: torch.Generator) -> Int[Tensor, "n _"]:
    """Draw numbers below `count` without replacement, in random order."""
    return torch.rand(n, count, generator=rng, dtype=torch.float64).topk(chosen).indices
