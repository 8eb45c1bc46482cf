"""Find what was said of a key in a long text: one needle or many, one value or several.

In the manner of RULER's retrieval (Hsieh et al. 2024, arXiv 2404.06654): `needles` are its keys,
`values` those of each key, `queries` the keys that are asked for.

Axes: b batch, f facts, q positions of the question.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from harness.api import IGNORED, SpecError
from suites._options import within
from suites.recall._haystack import ASK, KEYS, SIZE, VALUES, Haystack, different


@final
@dataclass(frozen=True, kw_only=True)
class Needle(Haystack):
    """`fact key value` in the haystack; `ask key value value ...` for each key that is asked for.

    Values are asked in the order in which they stood. The answer is written: labels stand where a
    language model predicts, on the position before their token.
    """

    needles: int = 4
    """Keys of which something is said; with one, the sign before it is enough to find it."""
    values: int = 1
    """Values of each key, each in a fact of its own."""
    queries: int = 1
    """Keys that are asked for, one after the other."""

    def __post_init__(self) -> None:
        within("needles", self.needles, 1, SIZE)
        within("values", self.values, 1, SIZE)
        within("queries", self.queries, 1, SIZE)
        if self.queries > self.needles:
            raise SpecError(
                f"At most as many keys can be asked for as there are needles, {self.needles}, not "
                f"{self.queries}."
            )
        super().__post_init__()

    @property
    def facts(self) -> int:
        """One for each value of each key."""
        return self.needles * self.values

    @property
    def asked(self) -> int:
        """A sign, a key and its values, for each key."""
        return self.queries * (2 + self.values) - 1

    @property
    def recalls(self) -> int:
        """All values of all keys."""
        return self.facts

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Any of the facts, of which all but one are about something else."""
        share = 1 / self.facts
        return {"value of any fact": share} if self.facts > 1 and share > self.chance else {}

    def told(
        self, n: int, rng: torch.Generator
    ) -> tuple[Int[Tensor, "b f 2"], Int[Tensor, "b q"], Int[Tensor, "b q"]]:
        """Say all values of all keys in any order, and ask for the first keys."""
        keys = different(n, self.needles, KEYS, rng)
        values = torch.randint(SIZE, (n, self.facts), generator=rng) + VALUES
        order = torch.rand(n, self.facts, generator=rng, dtype=torch.float64).argsort(1)
        # In the order of the text, the facts of a key keep the order of its values.
        about = keys.repeat(1, self.values).gather(1, order)
        facts = torch.stack([about, values], 2)
        written = []
        for key in keys[:, : self.queries].unbind(1):
            own = (about == key[:, None]).nonzero()[:, 1].reshape(n, self.values)
            sign = torch.full_like(key, ASK)
            written += [sign, key, *values.gather(1, own).unbind(1)]
        tokens = torch.stack(written, 1)
        question, following = tokens[:, :-1], tokens[:, 1:]
        return facts, question, following.where(following >= VALUES, IGNORED)

    def answer(self, facts: list[tuple[int, int]], question: list[int]) -> list[int]:
        """Look every key up, and say its values one after the other."""
        known: dict[int, list[int]] = {}
        for key, value in facts:
            known.setdefault(key, []).append(value)
        said, left = list[int](), list[int]()
        for token in question:
            left = known[token] if KEYS <= token < VALUES else left[1:]
            said.append(left[0] if left else 0)
        return said
