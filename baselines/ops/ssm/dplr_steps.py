"""The steps of a diagonal-plus-low-rank system in three forms.

One by one with the low rank as it is or in a basis of eigenvectors, or a block of positions at a
time with a dense matrix.

Axes: b batch, d channels, n modes, s = 2n real states; r is the rank.
"""

from abc import ABC, abstractmethod
from functools import reduce
from typing import Literal, final

import torch
from jaxtyping import Complex, Float, Float64
from torch import Tensor

from baselines.ops.ssm import dplr, krylov
from baselines.ops.ssm.block_steps import MOST_POSITIONS, BlockState, BlockSteps
from harness.api import State, UnsupportedError

Mode = Literal["linear", "dense", "diagonal"]


class DPLRSteps(ABC):
    """x_l = A x_{l-1} + B u_l, y_l = C x_l + D u_l in coordinates of its own.

    Args:
        system: The discrete system in double precision.
        C: What each channel reads, in the working precision.
        skip: D.
    """

    @abstractmethod
    def __init__(
        self, system: dplr.Discrete, C: Complex[Tensor, "d n"], skip: Float[Tensor, " d"]
    ) -> None: ...

    @abstractmethod
    def step(self, u: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        """Return the output and the new state."""

    @abstractmethod
    def from_vector(self, vector: Float[Tensor, "b d s"]) -> State:
        """Return the state of a real vector."""

    @abstractmethod
    def to_vector(self, state: State) -> Float[Tensor, "b d s"]:
        """Return a state's real vector."""


@final
class LowRankSteps(DPLRSteps):
    """The low rank as it is: O(n r) numbers and operations.

    A step of a wide layer takes as long as its passes through memory, so the couplings and the
    output, y_l = C A x_{l-1} + C B u_l, are read from the old state, and the rest is in place.
    """

    def __init__(
        self, system: dplr.Discrete, C: Complex[Tensor, "d n"], skip: Float[Tensor, " d"]
    ) -> None:
        real = C.real.dtype
        read, right = dplr.reading(C.to(system.pole.dtype)), dplr.reading(system.right)
        left, drive = dplr.to_vector(system.left), dplr.to_vector(system.drive)
        turned = dplr.reading(C * system.pole) - (left @ read[..., None] * right).sum(1)
        rows = torch.cat([right, turned[:, None]], 1).to(real)
        self.rows = rows.transpose(0, 1)[:, None].contiguous()
        self.left = [-each.to(real) for each in left.unbind(1)]
        self.pole, self.B = system.pole.to(C.dtype), drive.to(real)
        self.gain = (read * drive).sum(-1).to(real) + skip

    def step(
        self, u: Float[Tensor, "b d"], state: Float[Tensor, "b d s"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d s"]]:
        """Return the output and the new state, in the old one's memory."""
        *couplings, output = (self.rows * state).sum(-1)
        state.view(self.pole.dtype).mul_(self.pole)
        for left, coupling in zip(self.left, couplings, strict=True):
            state.addcmul_(left, coupling[..., None])
        inputs = u.to(state.dtype)
        state.addcmul_(self.B, inputs[..., None])
        return torch.addcmul(output, self.gain, inputs).to(u.dtype), state

    def from_vector(self, vector: Float[Tensor, "b d s"]) -> Float[Tensor, "b d s"]:
        """Return it."""
        return vector

    def to_vector(self, state: Float[Tensor, "b d s"]) -> Float[Tensor, "b d s"]:
        """Return it."""
        return state


@final
class DenseSteps(BlockSteps, DPLRSteps):
    """A matrix a channel, O(n^2) numbers, which steps meet once a block of positions.

    With the tables of a block it holds 48 KiB a channel at 64 states, for half the traffic that the
    linear form has at every step.
    """

    def __init__(
        self, system: dplr.Discrete, C: Complex[Tensor, "d n"], skip: Float[Tensor, " d"]
    ) -> None:
        read = dplr.reading(C)
        A, B = dplr.dense(system)
        size = min(MOST_POSITIONS, read.shape[-1] // 2)
        squares = krylov.squarings(A, size.bit_length() - 1)
        drive = krylov.orbit(squares, B.to(read.dtype)[:, None], size)
        reading = krylov.orbit([square.mT for square in squares], read[:, None], size)
        taps = (drive @ read[..., None]).squeeze(-1).mT.contiguous()
        taps[0] += skip
        super().__init__(taps, drive.flip(1), (reading @ A.to(read.dtype)).mT)
        self.A, self.turn = A.to(read.dtype), _power(squares, size).to(read.dtype)

    def read(self, start: Float[Tensor, "b d s"]) -> Float[Tensor, "b d s"]:
        """Return the vector itself."""
        return start

    def moved(
        self, start: Float[Tensor, "b d s"], arrived: Float[Tensor, "b d s"], steps: int
    ) -> Float[Tensor, "b d s"]:
        """Multiply by a power of the matrix."""
        columns = start.permute(1, 2, 0)
        for turn in [self.turn] if steps == self.size else [self.A] * steps:
            columns = turn @ columns
        return columns.permute(2, 0, 1) + arrived

    def from_vector(self, vector: Float[Tensor, "b d s"]) -> BlockState:
        """Begin a block."""
        return self.begin(vector)

    def to_vector(self, state: BlockState) -> Float[Tensor, "b d s"]:
        """Return the vector after the positions that are done."""
        return self.present(state)


@final
class EigenSteps(DPLRSteps):
    """A number a state in the basis of the discrete matrix's own eigenvectors.

    Raises:
        UnsupportedError: The eigenvectors are so nearly dependent that digits would be lost.
    """

    def __init__(
        self, system: dplr.Discrete, C: Complex[Tensor, "d n"], skip: Float[Tensor, " d"]
    ) -> None:
        A, B = dplr.dense(system)
        values, vectors = torch.linalg.eig(A)
        condition = torch.linalg.cond(vectors).max().item()
        if not condition * torch.finfo(C.dtype).eps < 1e-4:
            raise UnsupportedError(
                f"The eigenvectors of the discrete state matrix have condition {condition:.0e}, "
                "too many digits for mode=diagonal; use mode=linear or a smaller state."
            )
        self.back = vectors.to(C.dtype)
        self.there = torch.linalg.inv(vectors).to(C.dtype)
        self.pole = values.to(C.dtype)
        self.B = (self.there @ B.to(C.dtype)[..., None]).squeeze(-1)
        self.C = (dplr.reading(C)[:, None].to(C.dtype) @ self.back).squeeze(1)
        self.skip = skip

    def step(
        self, u: Float[Tensor, "b d"], state: Complex[Tensor, "b d s"]
    ) -> tuple[Float[Tensor, "b d"], Complex[Tensor, "b d s"]]:
        """Return the output and the new state."""
        state = torch.addcmul(self.pole * state, self.B, u[..., None].to(state.dtype))
        return torch.addcmul((self.C * state).sum(-1).real, self.skip, u).to(u.dtype), state

    def from_vector(self, vector: Float[Tensor, "b d s"]) -> Complex[Tensor, "b d s"]:
        """Return the coefficients of the eigenvectors."""
        return torch.einsum("dij,bdj->bdi", self.there, vector.to(self.there.dtype))

    def to_vector(self, state: Complex[Tensor, "b d s"]) -> Float[Tensor, "b d s"]:
        """Return the sum of the eigenvectors."""
        return torch.einsum("dij,bdj->bdi", self.back, state).real


def _power(squares: krylov.Squares, exponent: int) -> Float64[Tensor, "d s s"]:
    """Multiply the squares that a power is made of."""
    return reduce(torch.matmul, [A for bit, A in enumerate(squares) if exponent >> bit & 1])


FORMS: dict[Mode, type[DPLRSteps]] = {
    "linear": LowRankSteps,
    "dense": DenseSteps,
    "diagonal": EigenSteps,
}
