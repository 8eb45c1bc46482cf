"""What multi-query recall writes before it asks: pairs, in four variants.

Axes: b batch, p pairs, v values, q questions, k tokens of a key, c positions of what is written, o
choices.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor


@final
@dataclass(frozen=True)
class Written:
    """What stands in the text, and what may be asked of it."""

    context: Int[Tensor, "b c"]
    keys: Int[Tensor, "b q k"]
    values: Int[Tensor, "b q"]


class Variant(ABC):
    """How pairs are drawn, written and read."""

    key: ClassVar[int] = 1
    """Tokens of a key."""

    def fits(self, pairs: int) -> str:  # noqa: ARG002
        """Say what such a number of pairs lacks; nothing, if it will do."""
        return ""

    def size(self, pairs: int) -> int:
        """Return the positions that pairs take."""
        return (self.key + 1) * pairs

    def asked(self, pairs: int) -> int:
        """Return how many questions there are."""
        return pairs

    @abstractmethod
    def ways(self, pairs: int) -> Mapping[str, float]:
        """Return what ways around the question reach, the lowest first."""

    @abstractmethod
    def draw(self, n: int, pairs: int, vocabulary: int, rng: torch.Generator) -> Written:
        """Draw pairs of a vocabulary whose first part is of keys and whose last is of values."""

    def read(self, context: list[int]) -> dict[tuple[int, ...], int]:
        """Return the value of each key, from what is written."""
        step = self.key + 1
        rows = (context[start : start + step] for start in range(0, len(context), step))
        return {tuple(row[:-1]): row[-1] for row in rows}


@final
class Plain(Variant):
    """Each key once."""

    def ways(self, pairs: int) -> Mapping[str, float]:
        """Always the same one of the values that were shown."""
        return {"first value": 1 / pairs}

    def draw(self, n: int, pairs: int, vocabulary: int, rng: torch.Generator) -> Written:
        """Draw keys, then values."""
        keys, values = halves(n, pairs, pairs, vocabulary, rng)
        return Written(torch.stack([keys, values], 2).flatten(1), keys[..., None], values)


@final
class Forgetting(Variant):
    """Behind all pairs, half of the keys come once more with a new value, which counts."""

    def fits(self, pairs: int) -> str:
        """Something has to be forgotten."""
        return "" if pairs > 1 else "at least two pairs"

    def size(self, pairs: int) -> int:
        """Return the positions of both."""
        return 2 * (pairs + pairs // 2)

    def ways(self, pairs: int) -> Mapping[str, float]:
        """One value for all; or the first value of each key, which half of them still have."""
        return {"value of any pair": 1 / pairs, "first value of the key": 1 - pairs // 2 / pairs}

    def draw(self, n: int, pairs: int, vocabulary: int, rng: torch.Generator) -> Written:
        """Draw pairs, then which of them get which new values."""
        again = pairs // 2
        keys, values = halves(n, pairs, pairs + again, vocabulary, rng)
        old, new = values[:, :pairs], values[:, pairs:]
        which = torch.rand(n, pairs, generator=rng).topk(again).indices
        written = torch.cat([keys, keys.gather(1, which)], 1), values
        context = torch.stack(written, 2).flatten(1)
        return Written(context, keys[..., None], old.scatter(1, which, new))


@final
class Compositional(Variant):
    """Keys are all pairs of a few tokens with a few others, so that neither tells the value."""

    key = 2

    def fits(self, pairs: int) -> str:
        """Both tokens must matter."""
        return "" if sides(pairs)[0] > 1 else "a number of pairs that is no prime"

    def ways(self, pairs: int) -> Mapping[str, float]:
        """One value for all; or that of any pair with the same second token."""
        return {"value of any pair": 1 / pairs, "value of the second token": 1 / sides(pairs)[0]}

    def draw(self, n: int, pairs: int, vocabulary: int, rng: torch.Generator) -> Written:
        """Draw the tokens of both sides and the values, and write the square in any order."""
        third, (rows, columns) = vocabulary // 3, sides(pairs)
        first = different(n, rows, 1, third, rng)[:, :, None].expand(-1, -1, columns)
        second = different(n, columns, third, 2 * third, rng)[:, None].expand(-1, rows, -1)
        values = different(n, pairs, 2 * third, vocabulary, rng)
        keys = torch.stack([first, second], 3).flatten(1, 2)
        keys = keys.gather(1, shuffled(n, pairs, rng)[..., None].expand(-1, -1, 2))
        return Written(torch.cat([keys, values[..., None]], 2).flatten(1), keys, values)


@final
class Chained(Variant):
    """Behind half of the keys stands another key, whose value is asked for: two steps."""

    def fits(self, pairs: int) -> str:
        """Every chain has two pairs."""
        return "an even number of pairs" if pairs % 2 else ""

    def asked(self, pairs: int) -> int:
        """Return the number of chains."""
        return pairs // 2

    def ways(self, pairs: int) -> Mapping[str, float]:
        """Always the same one of the values that were shown."""
        return {"first value": 2 / pairs}

    def draw(self, n: int, pairs: int, vocabulary: int, rng: torch.Generator) -> Written:
        """Draw chains, and write their pairs in any order."""
        keys, values = halves(n, pairs, pairs // 2, vocabulary, rng)
        heads, links = keys.chunk(2, 1)
        rows = torch.stack([keys, torch.cat([links, values], 1)], 2)
        rows = rows.gather(1, shuffled(n, pairs, rng)[..., None].expand(-1, -1, 2))
        return Written(rows.flatten(1), heads[..., None], values)

    def read(self, context: list[int]) -> dict[tuple[int, ...], int]:
        """Follow each key to what stands behind the key behind it."""
        known = super().read(context)
        return {key: known[link,] for key, link in known.items() if (link,) in known}


def sides(pairs: int) -> tuple[int, int]:
    """Return the sides of the squarest rectangle of so many pairs, the shorter one first."""
    short = next(side for side in range(isqrt(pairs), 0, -1) if pairs % side == 0)
    return short, pairs // short


def halves(
    n: int, keys: int, values: int, vocabulary: int, rng: torch.Generator
) -> tuple[Int[Tensor, "b p"], Int[Tensor, "b v"]]:
    """Draw keys from the lower half of a vocabulary but for 0, and values from the upper half."""
    half = vocabulary // 2
    return different(n, keys, 1, half, rng), different(n, values, half, vocabulary, rng)


def different(n: int, count: int, low: int, high: int, rng: torch.Generator) -> Int[Tensor, "b p"]:
    """Draw tokens from low to below high, no two of a row alike."""
    return chosen(torch.ones(n, high - low), count, rng) + low


def shuffled(n: int, count: int, rng: torch.Generator) -> Int[Tensor, "b p"]:
    """Draw an order for each row."""
    return torch.rand(n, count, generator=rng).argsort(1)


def chosen(weights: Float[Tensor, "b o"], count: int, rng: torch.Generator) -> Int[Tensor, "b p"]:
    """Draw numbers without replacement, each next one with a probability as its weight.

    By the exponential race: the smallest of E_i / w_i, with E_i exponential, come in that order.
    """
    uniform = torch.rand(weights.shape, generator=rng, dtype=torch.float64)
    race = -torch.log1p(-uniform) / weights
    return race.topk(count, largest=False).indices


VARIANTS: Mapping[str, Variant] = {
    "plain": Plain(),
    "forgetting": Forgetting(),
    "compositional": Compositional(),
    "chained": Chained(),
}
