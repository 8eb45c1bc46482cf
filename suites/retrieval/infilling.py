"""Fill in what is missing from words of a language that only this text speaks.

Source: the objective "infilling" of Blouir et al. 2024, "Birdie", EMNLP 2024: spans are cut out of
a text, a marker stands in the place of each, and the missing spans are given back behind the text.
Its texts are English; here they are drawn, so that what is missing is known from the text alone.

Axes: b batch, l positions, m missing letters, c classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import (
    IGNORED,
    Batch,
    Evaluation,
    GeneratedTask,
    Protocol,
    SpecError,
    Split,
    StepLabels,
    Tokens,
    one_hot,
    stream,
)
from suites._options import by_default, within
from suites.retrieval._holes import Holes


@final
@dataclass(frozen=True, kw_only=True)
class Infilling(GeneratedTask):
    """Each word is written several times, at least once in full; some times with a hole.

    Words have 2 x span letters, and no two words share a letter at the same place, so whatever is
    left of one tells which it is. The full one may stand before or behind the hole. Behind the text
    comes each hole's marker again, with empty positions at which its letters are asked.
    """

    words: int = 8
    """Different words of a text."""
    copies: int = 3
    """How often each is written."""
    holes: int = 8
    """Times that a word has a hole; each hole has a marker of its own, in order."""
    span: int = 3
    """Letters that are missing at a hole."""
    letters: int = 26
    """Size of the alphabet."""
    reading: Literal["past", "both"] = "past"
    """Whether models see only the past or the whole input, which holds nothing of the answer."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 1024, "validation": 512, "test": 1024}
    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=64, width=64, depth=2)

    def __post_init__(self) -> None:
        least = {"words": 1, "copies": 2, "holes": 1, "span": 1, "letters": 2}
        for name, value in least.items():
            within(name, getattr(self, name), value)
        if self.words > self.letters:
            raise SpecError(
                "The options must hold words <= letters, not "
                f"words={self.words}, letters={self.letters}."
            )
        if self.holes > self.words * (self.copies - 1):
            raise SpecError(
                f"There may be 1 to words x (copies - 1) = {self.words * (self.copies - 1)} holes, "
                f"not {self.holes}."
            )

    @property
    def style(self) -> Holes:
        """How texts are written."""
        return Holes(self.letters, self.copies, self.holes, self.span)

    @property
    def inputs(self) -> Tokens:
        """Letters, the space between words, the empty position, and the markers."""
        return Tokens(self.style.tokens)

    @property
    def outputs(self) -> StepLabels:
        """A letter at each empty position; `sequence_accuracy` asks for all of a text's."""
        return StepLabels(self.letters)

    @property
    def max_length(self) -> int:
        """The text and the questions."""
        return self.style.length(self.words)

    @property
    def causal(self) -> bool:
        """As `reading` says."""
        return self.reading == "past"

    @property
    def chance(self) -> float:
        """Any letter."""
        return 1 / self.letters

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Whatever is written most rarely as a whole has the most holes."""
        return by_default(self, {"word with the fewest whole copies": 0.247}, "reading")

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw texts."""
        return self.drawn(n, self.words, rng)

    def drawn(self, n: int, words: int, rng: torch.Generator) -> Batch:
        """Draw texts with any number of words."""
        inputs, missing = self.style.drawn(n, words, rng)
        return Batch(inputs, self.asked(inputs, missing))

    def asked(self, inputs: Int[Tensor, "b l"], letters: Int[Tensor, "b m"]) -> Int[Tensor, "b l"]:
        """Lay letters on the empty positions."""
        blank = inputs == self.style.blank
        return torch.full_like(inputs, IGNORED).masked_scatter(blank, letters)

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask for as many holes among twice and three times as many words."""

        def richer(words: int) -> Evaluation:
            rng = stream(self.name, self.version, "words", words)
            return Evaluation(self.drawn(256, words, rng))

        counts = [factor * self.words for factor in (2, 3) if factor * self.words <= self.letters]
        return {f"words-{count}": partial(richer, count) for count in counts}

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:
        """Fill every hole from the word with the fewest whole copies."""
        rows = [self.style.filled_from_the_rarest(row) for row in batch.inputs.tolist()]
        answer = one_hot(self.asked(batch.inputs, torch.tensor(rows)), self.letters)
        return {"word with the fewest whole copies": answer}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Find the one whole word with the letters that are left, hole by hole."""
        letters = torch.tensor([self.style.filled(row) for row in batch.inputs.tolist()])
        return one_hot(self.asked(batch.inputs, letters), self.letters)
