"""Say which motif is planted in a long DNA-like string, with a few letters changed.

In the manner of planted motif search (Pevzner and Sze 2000): here the motifs are the same in every
string, so they are learnt, and one of them has to be spotted.

Axes: b batch, l positions, m letters of a motif, k motifs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import (
    Batch,
    Evaluation,
    GeneratedTask,
    OneLabel,
    Protocol,
    SpecError,
    Split,
    Tokens,
    one_hot,
    stream,
)
from suites._lengths import at_lengths
from suites._options import within

LETTERS, SIZE, MOTIFS = 4, 16, 8
"""Letters of the alphabet, letters of a motif, motifs."""
FACTORS = (4, 16)


@final
@dataclass(frozen=True, kw_only=True)
class Motifs(GeneratedTask):
    """Random letters with one of eight motifs of sixteen letters somewhere among them.

    A string in which another motif fits as well as the planted one is drawn again.
    """

    length: int = 512
    """Letters of a string."""
    changed: int = 2
    """Letters of the planted motif that are replaced."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 1024, "validation": 512, "test": 1024}
    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=32, width=64, depth=2)

    def __post_init__(self) -> None:
        within("length", self.length, SIZE)
        within("changed", self.changed, 0)
        if self.changed > SIZE // 4:
            raise SpecError(
                f"At most {SIZE // 4} letters of a motif may be changed, not {self.changed}."
            )

    @property
    def inputs(self) -> Tokens:
        """The letters."""
        return Tokens(LETTERS)

    @property
    def outputs(self) -> OneLabel:
        """Which motif."""
        return OneLabel(MOTIFS)

    @property
    def max_length(self) -> int:
        """The string; further evaluations are longer."""
        return self.length

    @property
    def causal(self) -> bool:
        """The string is read as a whole."""
        return False

    @property
    def chance(self) -> float:
        """Any motif."""
        return 1 / MOTIFS

    @property
    def motifs(self) -> Int[Tensor, "k m"]:
        """The motifs, the same for every string."""
        rng = stream(self.name, self.version, "motifs")
        return torch.randint(LETTERS, (MOTIFS, SIZE), generator=rng)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw strings of the training length."""
        return self.drawn(n, self.length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw strings of any length."""
        strings = torch.empty(n, length, dtype=torch.long)
        labels, left = torch.empty(n, dtype=torch.long), torch.arange(n)
        while len(left):
            count = len(left)
            labels[left] = torch.randint(MOTIFS, (count,), generator=rng)
            planted = self.motifs[labels[left]]
            places = torch.rand(count, SIZE, generator=rng).topk(self.changed).indices
            other = torch.randint(1, LETTERS, (count, self.changed), generator=rng)
            planted = planted.scatter(1, places, (planted.gather(1, places) + other) % LETTERS)
            start = torch.randint(length - SIZE + 1, (count, 1), generator=rng)
            drawn = torch.randint(LETTERS, (count, length), generator=rng)
            strings[left] = drawn.scatter(1, start + torch.arange(SIZE), planted)
            fits = self.fits(strings[left])
            own = fits.gather(1, labels[left][:, None])
            left = left[(fits >= own).sum(1) > 1]
        return Batch(strings, labels)

    def fits(self, strings: Int[Tensor, "b l"]) -> Int[Tensor, "b k"]:
        """Return how many letters of each motif stand together at its best place."""
        windows = strings.unfold(1, SIZE, 1)
        return torch.stack([(windows == motif).sum(2).amax(1) for motif in self.motifs], 1)

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask about strings 4 and 16 times as long."""
        lengths = [factor * self.length for factor in FACTORS]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(64, l, rng))

    def oracle(self, batch: Batch) -> Float[Tensor, "b k"]:
        """Slide every motif along each string, letter by letter."""
        motifs, found = self.motifs.tolist(), list[int]()
        for string in batch.inputs.tolist():
            best = [
                max(
                    sum(map(int.__eq__, motif, string[start : start + SIZE]))
                    for start in range(len(string) - SIZE + 1)
                )
                for motif in motifs
            ]
            found.append(best.index(max(best)))
        return one_hot(torch.tensor(found), MOTIFS)
