"""Look several names up in a phone book at once: how much of what was read can be found again?

Source: the multi-number phone book of Blouir et al. 2024, "Birdie", EMNLP 2024, in its layout.
Names and numbers are drawn here: the paper's are not published.

Axes: b batch, l positions, c classes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import (
    IGNORED,
    Batch,
    Evaluation,
    GeneratedTask,
    Protocol,
    SpecError,
    Split,
    Tokens,
    one_hot,
    stream,
)
from suites.retrieval._numbers import Numbers
from suites.retrieval._phone_book import COMMA, END, SIZES, VOCABULARY, Size, looked_up, written


@final
@dataclass(frozen=True, kw_only=True)
class PhoneBook(GeneratedTask):
    """A question, the book, the question again, and the numbers, written one behind the other.

    Training books have from a quarter of `entries` up, those of validation and test from fifteen
    sixteenths up: 200 and 750 of 800. From one to `questions` numbers are asked. Labels stand where
    a language model predicts, on the position before their token, and only on the answer.
    """

    size: Literal["small", "full"] = "small"
    """Books of 24 names with four digits, or the paper's: 800 with ten, about 15,000 tokens."""
    entries: int = 0
    """Of the longest book; 0 for what the size has."""
    questions: int = 0
    """Numbers that are asked at once, at most; 0 for what the size has: 4 or 32."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 256, "validation": 256, "test": 1024}
    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=32, width=64, depth=2)

    def __post_init__(self) -> None:
        book = self.book
        if not 1 <= book.questions <= book.entries // 4:
            raise SpecError(
                "As many may be asked as a quarter of the entries, not "
                f"questions={book.questions} of entries={book.entries}."
            )
        if book.entries**2 > 2 * book.names:
            raise SpecError(
                f"There are {book.names} names, too few for {book.entries} entries; take "
                "size=full or fewer."
            )

    @property
    def book(self) -> Size:
        """The sizes that hold."""
        own = SIZES[self.size]
        entries, questions = self.entries or own.entries, self.questions or own.questions
        return replace(own, entries=entries, questions=questions)

    @property
    def inputs(self) -> Tokens:
        """Digits, signs, words and syllables."""
        return Tokens(VOCABULARY)

    @property
    def outputs(self) -> Numbers:
        """The tokens of the numbers, with the commas between and the end behind them."""
        return Numbers(VOCABULARY, (COMMA, END))

    @property
    def max_length(self) -> int:
        """Both questions, the book and the answer without its end."""
        return self.book.length

    @property
    def causal(self) -> bool:
        """The answer is written."""
        return True

    @property
    def chance(self) -> float:
        """Any number."""
        return 1 / 9 / 10.0 ** (self.book.digits - 1)

    @property
    def recalls(self) -> int:
        """A number for each entry; some books of the test have a few more."""
        return self.tested[0]

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """One number of the book for all that are asked."""
        return {"last number of the book": sum(1 / n for n in self.tested) / len(self.tested)}

    @property
    def tested(self) -> range:
        """Entries that a book of validation and test may have."""
        return range(-(-15 * self.book.entries // 16), self.book.entries + 1)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw books that are as long as those of the test."""
        return self.drawn(n, (self.tested[0], self.tested[-1]), None, rng)

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Yield fresh books without end, of every length from a quarter on."""
        rng = self.training_stream(draw, "train", "every length")
        while True:
            yield self.drawn(size, (self.book.entries // 4, self.book.entries), None, rng)

    def drawn(
        self, n: int, bounds: tuple[int, int], asked: int | None, rng: torch.Generator
    ) -> Batch:
        """Draw books with entries between bounds, asked for so many or for up to all questions."""
        entries = torch.randint(bounds[0], bounds[1] + 1, (n,), generator=rng)
        most = torch.randint(1, self.book.questions + 1, (n,), generator=rng)
        questions = most if asked is None else torch.full_like(most, asked)
        texts, sizes = written(self.book, entries, questions, rng)
        answers = questions * (self.book.number + 1)
        place = torch.arange(1, texts.shape[1])
        labelled = (place >= (sizes - answers)[:, None]) & (place < sizes[:, None])
        return Batch(texts[:, :-1], texts[:, 1:].where(labelled, IGNORED), sizes - 1)

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask for few and for many at once, and of a book twice as long."""
        book = self.book

        def made(name: str, entries: int, asked: int | None) -> Evaluation:
            rng = stream(self.name, self.version, name)
            return Evaluation(self.drawn(256, (entries, entries), asked, rng))

        counts = sorted({1, max(1, book.questions // 4), book.questions})
        sets: dict[str, tuple[int, int | None]]
        sets = {f"questions-{count}": (book.entries, count) for count in counts}
        sets[f"entries-{2 * book.entries}"] = (2 * book.entries, None)
        return {name: partial(made, name, *values) for name, values in sets.items()}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Read line by line into a dictionary, then answer the last question from it."""
        return self.written_out(batch, guess=False)

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:
        """Answer every question with the last number of the book."""
        return {"last number of the book": self.written_out(batch, guess=True)}

    def written_out(self, batch: Batch, *, guess: bool) -> Float[Tensor, "b l c"]:
        """Lay numbers that were looked up, or guessed, on the places of the answer."""
        answers = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            start, answer = looked_up(tokens, guess=guess)
            answers[row, start : start + len(answer)] = torch.tensor(answer)
        return one_hot(answers, VOCABULARY)
