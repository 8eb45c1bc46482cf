"""What the languages share: a string, then a place for each symbol of the answer.

Source: Delétang et al. 2022, "Neural Networks and the Chomsky Hierarchy", arXiv 2207.02098, whose
fifteen tasks these are. As there, models are trained on strings of up to 40 symbols, a length a
batch, and asked about longer ones; all symbols of an answer are asked at once, behind the string.

Axes: b batch, n symbols of the string, m symbols of the answer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import IGNORED, Batch, Evaluation, Protocol, one_hot, stream
from suites._lengths import at_lengths
from suites._options import by_default, within
from suites._tokens import TokenTask

FACTORS = (2, 4, 8)
"""How many times longer than in training the strings of the further evaluations are."""
COUNTED = 2000
"""Strings in which the commonest symbol is counted."""
Drawn = tuple[Int[Tensor, "b n"], Int[Tensor, "b m"]]


@dataclass(frozen=True, kw_only=True)
class Language(TokenTask, ABC):
    """Strings of the splits are as long as they may be; those of training are that or shorter.

    The first symbols of the alphabet are those of answers; the last token asks for one.
    """

    length: int = 40
    """Symbols of the longest string of the training."""

    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=64, width=64, depth=2)
    symbols: ClassVar[int] = 2
    """Of the alphabet."""
    shortest: ClassVar[int] = 1
    """Symbols of the shortest string."""
    usual: ClassVar[float | None] = 0.5
    """Share of the commonest symbol among those of answers; None where it depends on the length, so
    that it has to be counted."""
    cheap: ClassVar[Mapping[str, float]] = {}
    """What ways around the question reach at the default length."""

    def __post_init__(self) -> None:
        within("length", self.length, 2 * self.shortest)

    @abstractmethod
    def strings(self, n: int, length: int, rng: torch.Generator) -> Drawn:
        """Draw strings of at most so many symbols, all of one length, and answer them."""

    @abstractmethod
    def answer(self, string: list[int]) -> list[int]:
        """Answer one string, by a way of its own."""

    def asked(self, length: int) -> int:  # noqa: ARG002
        """Return how many symbols the longest answer to a string of some length has."""
        return 1

    @property
    def size(self) -> int:
        """The alphabet, and what asks for a symbol of the answer."""
        return self.symbols + 1

    @property
    def max_length(self) -> int:
        """The string and its answer; further evaluations are longer."""
        return self.length + self.asked(self.length)

    @property
    def chance(self) -> float:
        """The commonest symbol everywhere."""
        return counted(self) if self.usual is None else self.usual

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What was measured."""
        return by_default(self, self.cheap)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw strings of the greatest length."""
        return self.drawn(n, self.length, rng)

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Yield fresh strings without end, of one length a batch."""
        rng = self.training_stream(draw, "train", "every length")
        while True:
            length = int(torch.randint(self.shortest, self.length + 1, (), generator=rng))
            yield self.drawn(size, length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw strings of any length, with the places of their answers."""
        strings, answers = self.strings(n, length, rng)
        inputs = torch.cat([strings, torch.full_like(answers, self.symbols)], 1)
        return Batch(inputs, torch.cat([torch.full_like(strings, IGNORED), answers], 1))

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask the trained network about strings two, four and eight times as long."""
        lengths = [factor * self.length for factor in FACTORS]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(256, l, rng))

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Answer string by string."""
        found = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            string = list(takewhile(self.symbols.__ne__, tokens))
            answer = self.answer(string)
            found[row, len(string) : len(string) + len(answer)] = torch.tensor(answer)
        return one_hot(found, self.size)


@cache
def counted(task: Language) -> float:
    """Return the share of the commonest symbol in answers to strings of the task's length."""
    targets = task.drawn(COUNTED, task.length, stream(task.name, task.version, "chance")).targets
    counts = targets[targets != IGNORED].bincount()
    return (counts.max() / counts.sum()).item()


def letters(n: int, length: int, count: int, rng: torch.Generator) -> Int[Tensor, "b n"]:
    """Draw strings over the first letters of the alphabet, all alike likely."""
    return torch.randint(count, (n, length), generator=rng)
