"""Say which word stands most often in a long text: nothing to be found, everything to be counted.

In the manner of RULER's frequent words (Hsieh et al. 2024, arXiv 2404.06654), which asks for three.

Axes: b batch, l positions, c classes.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import IGNORED, Batch, Evaluation, Protocol, SpecError, one_hot
from suites._lengths import at_lengths
from suites._options import within
from suites._tokens import TokenTask

FACTORS = (4, 16, 64)
ASK = 0


@final
@dataclass(frozen=True, kw_only=True)
class FrequentWords(TokenTask):
    """Words, one of them drawn `lead` times as often as any other, and a sign at the end."""

    length: int = 256
    """Positions, with the sign."""
    words: int = 31
    """Different ones."""
    lead: int = 3
    """How many times as likely as any other the word is that is asked for."""

    protocol: ClassVar[Protocol] = Protocol(steps=1500, batch=32, width=64, depth=2, lr_scale=3)

    def __post_init__(self) -> None:
        within("words", self.words, 2)
        within("lead", self.lead, 2)
        within("length", self.length, 1)
        if self.length < 2 * self.words:
            raise SpecError(
                f"The length must hold every word twice: {2 * self.words} positions, not "
                f"{self.length}."
            )

    @property
    def size(self) -> int:
        """The words and the sign."""
        return self.words + 1

    @property
    def max_length(self) -> int:
        """Words and sign; further evaluations are longer."""
        return self.length

    @property
    def chance(self) -> float:
        """Any word."""
        return 1 / self.words

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw texts of the training length."""
        return self.drawn(n, self.length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw texts in which the likelier word really comes first; others are drawn again."""
        texts = torch.empty(n, length - 1, dtype=torch.long)
        leader, left = torch.empty(n, dtype=torch.long), torch.arange(n)
        while len(left):
            most = torch.randint(1, self.words + 1, (len(left), 1), generator=rng)
            # The last `lead - 1` numbers stand for the likelier word.
            drawn = torch.randint(1, self.words + self.lead, (len(left), length - 1), generator=rng)
            texts[left] = drawn.where(drawn <= self.words, most)
            leader[left] = most[:, 0]
            counts = torch.zeros(len(left), self.size, dtype=torch.long)
            counts.scatter_add_(1, texts[left], torch.ones_like(texts[left]))
            own = counts.gather(1, most)
            left = left[(counts >= own).sum(1) > 1]
        labels = torch.full((n, length), IGNORED)
        labels[:, -1] = leader
        return Batch(torch.cat([texts, torch.full((n, 1), ASK)], 1), labels)

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask about texts 4, 16 and 64 times as long."""
        lengths = [factor * self.length for factor in FACTORS]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(64, l, rng))

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Count."""
        found = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            found[row, -1] = Counter(tokens[:-1]).most_common(1)[0][0]
        return one_hot(found, self.size)
