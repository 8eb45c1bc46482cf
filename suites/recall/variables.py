"""Follow a chain of assignments through a long text: several steps of recall, one behind the other.

In the manner of RULER's variable tracking (Hsieh et al. 2024, arXiv 2404.06654), which asks for all
names of a value; here the value of a name is asked.

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
class Variables(Haystack):
    """`fact name value`, then `fact name name` for each further link; `ask name` is the value.

    Every link stands behind the one that it refers to; the last name of one chain is asked for.
    """

    chains: int = 3
    """Values, each with names of its own."""
    links: int = 2
    """Names of each value, the first assigned and the others copied."""

    def __post_init__(self) -> None:
        within("chains", self.chains, 1, SIZE)
        within("links", self.links, 1, SIZE)
        if self.facts > SIZE:
            raise SpecError(f"There are {SIZE} names, too few for {self.chains} x {self.links}.")
        super().__post_init__()

    @property
    def facts(self) -> int:
        """A link each."""
        return self.chains * self.links

    @property
    def asked(self) -> int:
        """A sign and a name."""
        return 2

    @property
    def recalls(self) -> int:
        """A value for each chain."""
        return self.chains

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The value of any chain."""
        share = 1 / self.chains
        return {"value of any chain": share} if self.chains > 1 and share > self.chance else {}

    def told(
        self, n: int, rng: torch.Generator
    ) -> tuple[Int[Tensor, "b f 2"], Int[Tensor, "b q"], Int[Tensor, "b q"]]:
        """Draw chains, shuffle them into each other, and ask for the last name of the first."""
        names = different(n, self.facts, KEYS, rng).unflatten(1, (self.chains, self.links))
        values = different(n, self.chains, VALUES, rng)
        sources = torch.cat([values[..., None], names[..., :-1]], 2)
        # Sorted lots of each chain keep the order of its links.
        lots = torch.rand(names.shape, generator=rng, dtype=torch.float64).sort(2).values
        order = lots.flatten(1).argsort(1)[..., None]
        facts = torch.stack([names, sources], 3).flatten(1, 2)
        question = torch.stack([torch.full((n,), ASK), names[:, 0, -1]], 1)
        labels = torch.stack([torch.full((n,), IGNORED), values[:, 0]], 1)
        return facts.gather(1, order.expand(-1, -1, 2)), question, labels

    def answer(self, facts: list[tuple[int, int]], question: list[int]) -> list[int]:
        """Go back from name to name until a value comes."""
        sources, token = dict(facts), question[1]
        while token < VALUES:
            token = sources[token]
        return [0, token]
