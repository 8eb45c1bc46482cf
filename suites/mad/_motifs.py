"""Motifs of one to three distinct tokens, and texts written from pairs of them, batch-wise.

Axes: b batch, m tokens of a motif, t tokens of a text.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

LONGEST = 3
"""Tokens of the longest motif."""
ABSENT = -1


@final
@dataclass(frozen=True)
class Motifs:
    """Ordered draws of distinct tokens out of `count` from `first` on, `shortest` to three long."""

    first: int
    count: int
    shortest: int

    def drawn(self, n: int, rng: torch.Generator) -> Int[Tensor, "b m"]:
        """Draw motifs, filled up with `ABSENT`; every length is as likely as every other."""
        lots = torch.rand(n, self.count, generator=rng, dtype=torch.float64)
        tokens = lots.topk(LONGEST).indices + self.first
        sizes = torch.randint(self.shortest, LONGEST + 1, (n, 1), generator=rng)
        return tokens.where(torch.arange(LONGEST) < sizes, ABSENT)


@final
class Writer:
    """Texts that grow pair by pair, in which a key keeps the value that it first had."""

    def __init__(self, n: int, length: int, padding: int) -> None:
        self.tokens = torch.full((n, length), padding)
        self.asked = torch.zeros(n, length, dtype=torch.bool)
        self.filled = torch.zeros(n, dtype=torch.long)
        self.keys = torch.full((n, 0, LONGEST), ABSENT)
        self.values = torch.full((n, 0, LONGEST), ABSENT)
        self.padding = padding

    def append(
        self, key: Int[Tensor, "b m"], value: Int[Tensor, "b m"], rows: Bool[Tensor, " b"]
    ) -> None:
        """Write a pair at the end of some texts; where the key is known, its own value instead."""
        known = (self.keys == key[:, None]).all(2)
        again = known.any(1)
        if known.shape[1]:
            first = known.int().argmax(1)
            value = self.values[torch.arange(len(key)), first].where(again[:, None], value)
        pair = torch.cat([key, value], 1)
        recalled = torch.cat([torch.zeros_like(key).bool(), again[:, None].expand_as(value)], 1)
        real = (pair != ABSENT) & rows[:, None]
        places = self.filled[:, None] + real.cumsum(1) - 1
        row, column = real.nonzero(as_tuple=True)
        self.tokens[row, places[row, column]] = pair[row, column]
        self.asked[row, places[row, column]] = recalled[row, column]
        self.filled += real.sum(1)
        written = key.where(rows[:, None], ABSENT - 1)
        self.keys = torch.cat([self.keys, written[:, None]], 1)
        self.values = torch.cat([self.values, value[:, None]], 1)

    def flushed_right(self) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Return tokens and marks with the padding moved to the front."""
        length = self.tokens.shape[1]
        origin = torch.arange(length) - (length - self.filled[:, None])
        inside = origin >= 0
        tokens, asked = (x.gather(1, origin.clamp(min=0)) for x in (self.tokens, self.asked))
        return tokens.where(inside, self.padding), asked & inside
