"""Copy a string, or go on from a piece of it given before or behind it: is everything kept?

Source: Jelassi, Brandfonbrener, Kakade, Malach 2024, "Repeat After Me: Transformers are Better than
State Space Models at Copying", arXiv 2402.01032. A state of fewer than length x log2(letters) bits
cannot copy every string.

Axes: b batch, l positions, c classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import (
    IGNORED,
    Batch,
    Evaluation,
    Protocol,
    SpecError,
    one_hot,
)
from suites._lengths import at_lengths
from suites._options import by_default, within
from suites._tokens import TokenTask

END, BEGIN, BAR = 0, 1, 2
LETTERS = 3
"""Token of the first letter."""
FACTORS = (2, 4)
FOUND = {
    "all": {"commonest value": 0.082, "beside the last occurrence": 0.306},
    "prefix": {"commonest value": 0.080, "beside the last occurrence": 0.480},
    "suffix": {"commonest value": 0.080, "beside the last occurrence": 0.470},
}
"""What cheap predictors reach at the default options."""


@final
@dataclass(frozen=True, kw_only=True)
class Copying(TokenTask):
    """`$ x | x .`; with a piece of x given before or behind, `$ piece | x | rest .` and so on.

    Labels stand where a language model predicts: each on the position before its token. A model
    whose every label is right would write the answer by itself, so `sequence_accuracy` is the share
    of strings that it copies. Where the piece stands in x twice, its first place counts.
    """

    query: Literal["all", "prefix", "suffix"] = "all"
    """Copy everything, or go on from a piece that is given before (prefix) or behind (suffix)."""
    length: int = 48
    """Letters of the longest string of the training; lengths are uniform from a quarter of it."""
    letters: int = 26
    """Size of the alphabet."""
    piece: int = 3
    """Letters of the piece that is asked for by prefix and suffix."""

    protocol: ClassVar[Protocol] = Protocol(steps=1500, batch=64, width=64, depth=2)

    def __post_init__(self) -> None:
        within("piece", self.piece, 1)
        within("length", self.length, 1)
        within("letters", self.letters, 2)
        if self.length < 4 * (self.piece + 1):
            raise SpecError(
                "The options must hold 4 (piece + 1) <= length, not "
                f"piece={self.piece}, length={self.length}."
            )

    @property
    def size(self) -> int:
        """The letters, and the signs for end, begin and bar."""
        return self.letters + LETTERS

    @property
    def max_length(self) -> int:
        """Signs, piece, string and answer."""
        return 2 * self.length + self.piece + 3

    @property
    def chance(self) -> float:
        """Always a letter, or always the end, whichever is the commoner label.

        Strings have 5/8 of `length` letters on average; behind a piece half of the others follow.
        """
        mean = 5 / 8 * self.length
        answer = mean if self.query == "all" else (mean - self.piece + 1) / 2
        return max(1, answer / self.letters) / (answer + 1)

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """A letter of the string, or the one behind the last letter like the one at the place."""
        return by_default(self, FOUND[self.query], "query")

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw strings of the training lengths."""
        return self.drawn(n, (self.length // 4, self.length), rng)

    def drawn(self, n: int, bounds: tuple[int, int], rng: torch.Generator) -> Batch:
        """Draw strings of lengths between bounds, both included."""
        low, high = bounds
        lengths = torch.randint(low, high + 1, (n,), generator=rng)
        strings = torch.randint(self.letters, (n, high), generator=rng) + LETTERS
        starts = (torch.rand(n, generator=rng) * (lengths - self.piece)).long()
        rows = [
            self.written(string[:length].tolist(), start)
            for string, length, start in zip(
                strings, lengths.tolist(), starts.tolist(), strict=True
            )
        ]
        sizes = torch.tensor([len(tokens) - 1 for tokens, _ in rows])
        inputs = torch.full((n, int(sizes.max())), END)
        targets = torch.full_like(inputs, IGNORED)
        for row, (tokens, answer) in enumerate(rows):
            end = len(tokens) - 1
            inputs[row, :end] = torch.tensor(tokens[:-1])
            targets[row, end - answer : end] = torch.tensor(tokens[-answer:])
        return Batch(inputs, targets, sizes)

    def written(self, string: list[int], start: int) -> tuple[list[int], int]:
        """Write one example; returns its tokens, and how many of them at the end are the answer."""
        piece = [] if self.query == "all" else string[start : start + self.piece]
        answer = string[place(string, piece) + len(piece) :]
        asked = [*string, BAR, *piece]
        if self.query == "prefix":
            asked = [*piece, BAR, *string, BAR]
        tokens = [BEGIN, *asked, *answer, END]
        return tokens, len(answer) + 1

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask for strings exactly two and four times as long as the longest of the training."""
        lengths = [factor * self.length for factor in FACTORS]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(256, (l, l), rng))

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Find string and piece between the signs, and read on behind the piece."""
        answers = torch.zeros_like(batch.inputs)
        sizes = batch.inputs.new_tensor([]) if batch.lengths is None else batch.lengths
        for row, size in enumerate(sizes.tolist()):
            groups = groupby(batch.inputs[row, 1:size].tolist(), lambda token: token == BAR)
            words = [list(group) for bar, group in groups if not bar]
            string = words[1] if self.query == "prefix" else words[0]
            piece = {"all": [], "prefix": words[0], "suffix": words[1][: self.piece]}[self.query]
            answer = [*string[place(string, piece) + len(piece) :], END]
            answers[row, size - len(answer) : size] = torch.tensor(answer)
        return one_hot(answers, self.size)


def place(string: list[int], piece: list[int]) -> int:
    """Return the first place at which a piece stands in a string."""
    ends = range(len(string) - len(piece) + 1)
    return next(i for i in ends if string[i : i + len(piece)] == piece)
