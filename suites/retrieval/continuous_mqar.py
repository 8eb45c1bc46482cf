"""Recall by vectors instead of tokens: which of the known values stood with this key?

Source: the continuous multi-query recall of HazyResearch/zoology, where key and value stand stacked
at one position. Here they may also follow each other, as tokens do.

Axes: b batch, l positions, p pairs, c numbers of a vector, v vectors of a kind.
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
    Signal,
    Split,
    StepLabels,
    one_hot,
    stream,
)
from suites._options import within
from suites.retrieval._associations import different, shuffled

KINDS = 2
"""Keys and values: each has its numbers of a position."""


@final
@dataclass(frozen=True, kw_only=True)
class ContinuousMqar(GeneratedTask):
    """Pairs, then every key again in any order; its value's number is the label at that place.

    Keys and values are vectors of norm 1, the same ones in every sequence, which are drawn without
    replacement. A position has room for a key and for a value; what it lacks is zero.
    """

    pairs: int = 16
    """Associations to be held at once."""
    vectors: int = 64
    """Different keys, and as many different values."""
    channels: int = 16
    """Numbers of a vector; with fewer than there are vectors, no two are quite apart."""
    layout: Literal["stacked", "alternating"] = "stacked"
    """Key and value at one position, or the value behind its key."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 1024, "validation": 512, "test": 1024}
    protocol: ClassVar[Protocol] = Protocol(steps=2500, batch=64, width=64, depth=2, lr_scale=3)

    def __post_init__(self) -> None:
        within("vectors", self.vectors, 2, 4096)
        within("pairs", self.pairs, 1, self.vectors)
        within("channels", self.channels, 1, 1024)

    @property
    def inputs(self) -> Signal:
        """A key and a value."""
        return Signal(KINDS * self.channels)

    @property
    def outputs(self) -> StepLabels:
        """Which value."""
        return StepLabels(self.vectors)

    @property
    def steps(self) -> int:
        """Positions of a pair."""
        return 1 if self.layout == "stacked" else 2

    @property
    def max_length(self) -> int:
        """Pairs and questions; further evaluations have more."""
        return (self.steps + 1) * self.pairs

    @property
    def causal(self) -> bool:
        """Questions stand behind what they ask."""
        return True

    @property
    def chance(self) -> float:
        """Any value."""
        return 1 / self.vectors

    @property
    def recalls(self) -> int:
        """All pairs."""
        return self.pairs

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Always the same one of the values that were shown."""
        return {"value of any pair": 1 / self.pairs} if 1 < self.pairs < self.vectors else {}

    @property
    def known(self) -> Float[Tensor, "2 v c"]:
        """The keys and the values, the same for every sequence."""
        rng = stream(self.name, self.version, "vectors")
        drawn = torch.randn(KINDS, self.vectors, self.channels, generator=rng, dtype=torch.float64)
        scaled: Tensor = drawn / drawn.square().sum(2, keepdim=True).sqrt()
        return scaled.float()

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences."""
        return self.drawn(n, self.pairs, rng)

    def drawn(self, n: int, pairs: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any number of pairs."""
        keys, values = (different(n, pairs, 0, self.vectors, rng) for _ in range(KINDS))
        order = shuffled(n, pairs, rng)
        shown, told = (
            torch.nn.functional.pad(vectors[which], side)
            for vectors, which, side in zip(
                self.known, (keys, values), ((0, self.channels), (self.channels, 0)), strict=True
            )
        )
        rows = shown + told if self.steps == 1 else torch.stack([shown, told], 2).flatten(1, 2)
        questions = shown.gather(1, order[..., None].expand(-1, -1, shown.shape[2]))
        unasked = torch.full((n, self.steps * pairs), IGNORED)
        inputs = torch.cat([rows, questions], 1)
        return Batch(inputs, torch.cat([unasked, values.gather(1, order)], 1))

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask for half, twice and four times as many pairs."""

        def made(count: int) -> Evaluation:
            return Evaluation(self.drawn(256, count, stream(self.name, self.version, count)))

        counts = sorted({max(1, self.pairs // 2), 2 * self.pairs, 4 * self.pairs} - {self.pairs})
        return {f"pairs-{p}": partial(made, p) for p in counts if p <= self.vectors}

    def oracle(self, batch: Batch) -> Float[Tensor, "b l v"]:
        """Name every vector by the known one that it is, and look keys up."""
        keys, values = (
            nearest(part, vectors)
            for part, vectors in zip(batch.inputs.chunk(KINDS, 2), self.known, strict=True)
        )
        start = batch.inputs.shape[1] * self.steps // (self.steps + 1)
        told = values[:, self.steps - 1 : start : self.steps]
        written, asked = keys[:, : start : self.steps], keys[:, start:]
        place = (asked[:, :, None] == written[:, None]).long().argmax(2)
        answers = torch.zeros_like(keys)
        answers[:, start:] = told.gather(1, place)
        return one_hot(answers, self.vectors)


def nearest(found: Float[Tensor, "b l c"], known: Float[Tensor, "v c"]) -> Int[Tensor, "b l"]:
    """Return which of the known vectors each one is nearest to."""
    return torch.cdist(found.double(), known.double()).argmin(-1)
