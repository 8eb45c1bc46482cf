"""What Solve and Solve-Fixed share: all but the choice of the matrix.

Axes: b batch, n unknowns, l positions.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from harness.api import Batch, Protocol, Signal, Values
from suites._options import within
from suites.synthetic._sequences import AtomicTask, with_clock


@dataclass(frozen=True, kw_only=True)
class SystemTask(AtomicTask, ABC):
    """A linear system A x = b, given row by row as [A | b]; x is read at the last positions.

    A is orthogonal and x has length 1. As many unknowns are taken as fit: n^2 + 2n <= length, the
    rest of the input is zero.
    """

    length: int = 512
    """Positions of the sequence."""

    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=32, width=64, depth=2)

    def __post_init__(self) -> None:
        within("length", self.length, 3)

    @abstractmethod
    def matrices(self, count: int, rng: torch.Generator) -> Float64[Tensor, "b n n"]:
        """Draw the orthogonal matrices."""

    @property
    def unknowns(self) -> int:
        """n, the largest number whose square and double fit into the length."""
        return math.isqrt(self.length + 1) - 1

    @property
    def inputs(self) -> Signal:
        """The number, and the clock's cosine and sine."""
        return Signal(3)

    @property
    def outputs(self) -> Values:
        """The unknowns, at the last positions."""
        return Values(1, last=self.unknowns)

    @property
    def max_length(self) -> int:
        """The sequence."""
        return self.length

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw systems and write them out."""
        A = self.matrices(n, rng)
        x = torch.randn(n, self.unknowns, 1, generator=rng, dtype=torch.float64)
        x = x / x.norm(dim=1, keepdim=True)
        rows = torch.cat([A, A @ x], 2).flatten(1)
        inputs = with_clock(F.pad(rows, (0, self.length - rows.shape[1])))
        return Batch(inputs, x.float())

    def oracle(self, batch: Batch) -> Float[Tensor, "b n 1"]:
        """Eliminate the unknowns, without use of the orthogonality."""
        n = self.unknowns
        rows = batch.inputs[:, : n * (n + 1), 0].double().unflatten(1, (n, n + 1))
        solved: Tensor = torch.linalg.solve(rows[..., :n], rows[..., n:])
        return solved.float()


def orthogonal(count: int, n: int, rng: torch.Generator) -> Float64[Tensor, "b n n"]:
    """Draw orthogonal matrices, all equally likely.

    The paper takes U V' of a Gaussian matrix's singular vectors. The orthogonal factor of its QR
    decomposition, with the triangle's diagonal made positive, has the same distribution (Mezzadri
    2007, "How to generate random matrices from the classical compact groups") and costs a tenth.
    """
    gaussian = torch.randn(count, n, n, generator=rng, dtype=torch.float64)
    Q, R = torch.linalg.qr(gaussian)
    factor: Tensor = Q * R.diagonal(dim1=1, dim2=2).sign()[:, None]
    return factor
