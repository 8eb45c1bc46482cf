"""Return the value whose key is nearest the query: can a model search all it has seen?

Source: task MIPS (maximum inner product search) of Gupta et al. 2022, arXiv 2212.00768, section 4.

Axes: b batch, l positions, e features of a query, a key and a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch, Protocol, Signal, Split, Values
from suites._options import within
from suites.synthetic._sequences import AtomicTask, with_clock

BLOCK = 128
"""Queries of a sequence that are compared at once, so that their products stay in the cache."""


@final
@dataclass(frozen=True, kw_only=True)
class Mips(AtomicTask):
    """y[i] = v[j], where j <= i has the largest inner product of q[i] and k[j]."""

    length: int = 512
    """Positions of the sequence."""
    features: int = 4
    """Of a query, a key and a value; all are unit vectors."""

    examples: ClassVar[dict[Split, int]] = {"train": 128, "validation": 128, "test": 128}
    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=16, width=64, depth=2)

    def __post_init__(self) -> None:
        within("length", self.length, 1)
        within("features", self.features, 1)

    @property
    def inputs(self) -> Signal:
        """Query, key and value, and the clock's cosine and sine."""
        return Signal(3 * self.features + 2)

    @property
    def outputs(self) -> Values:
        """The found value at every position."""
        return Values(self.features, last=self.length)

    @property
    def max_length(self) -> int:
        """The sequence."""
        return self.length

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The mean of i values explains 1 / i of any of them."""
        return {"mean so far": sum(1 / i for i in range(1, self.length + 1)) / self.length}

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw unit vectors and search.

        The search goes by the rounded vectors, so that it can be repeated from the inputs.
        """
        shape = (n, self.length, 3, self.features)
        drawn = torch.randn(shape, generator=rng, dtype=torch.float64)
        q, k, v = F.normalize(drawn, dim=-1).float().double().unbind(2)
        channels = torch.cat([q, k, v], 2).unbind(2)
        index = searched(q, k)[..., None].expand(-1, -1, self.features)
        return Batch(with_clock(*channels), v.gather(1, index).float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b l e"]:
        """Let each key in turn win over the best so far, for all later queries at once."""
        q, k, v = batch.inputs[..., :-2].double().unflatten(2, (3, self.features)).unbind(2)
        best = q.new_full(q.shape[:2], -torch.inf)
        answer = torch.zeros_like(v)
        for position in range(self.length):
            score = (q[:, position:] * k[:, position, None]).sum(2)
            wins = score > best[:, position:]
            best[:, position:] = best[:, position:].where(~wins, score)
            values = v[:, position, None].expand_as(answer[:, position:])
            answer[:, position:] = answer[:, position:].where(~wins[..., None], values)
        return answer.float()


def searched(q: Float[Tensor, "b l e"], k: Float[Tensor, "b l e"]) -> Tensor:
    """Return, for each query, the position up to its own of the key with the largest product."""
    length = q.shape[1]
    queries, keys = (F.pad(x, (0, 0, 0, -length % BLOCK)) for x in (q, k))
    future = torch.ones(BLOCK, BLOCK, dtype=torch.bool).triu(1)
    found = torch.empty(queries.shape[:2], dtype=torch.long)
    table = q.new_empty(BLOCK * keys.shape[1])
    for row, key in enumerate(keys.mT.contiguous()):
        for start in range(0, length, BLOCK):
            end = start + BLOCK
            scores = table[: BLOCK * end].view(BLOCK, end)
            torch.mm(queries[row, start:end], key[:, :end], out=scores)
            scores[:, start:].masked_fill_(future, -torch.inf)
            # Maxima without their places take a fraction of the time, so places come last.
            runs = scores.unflatten(1, (-1, BLOCK))
            run = runs.amax(2).argmax(1)
            place = runs[torch.arange(BLOCK), run].argmax(1)
            found[row, start:end] = run * BLOCK + place
    return found[:, :length]
