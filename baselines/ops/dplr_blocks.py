"""Steps of a diagonal-plus-low-rank system, a block of positions at a time, and the choice of form.

Axes: b batch, d channels, n modes, s = 2n real states.
"""

from functools import reduce
from typing import Literal, final

import torch
from jaxtyping import Complex, Float, Float64
from torch import Tensor

from baselines.ops import dplr, krylov
from baselines.ops.block_steps import MOST_POSITIONS, BlockState, BlockSteps
from baselines.ops.dplr_steps import Diagonal, Linear, Recurrence

Mode = Literal["linear", "dense", "diagonal"]


@final
class Dense(BlockSteps, Recurrence):
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

    def enter(self, vector: Float[Tensor, "b d s"]) -> BlockState:
        """Begin a block."""
        return self.begin(vector)

    def leave(self, state: BlockState) -> Float[Tensor, "b d s"]:
        """Return the vector after the positions that are done."""
        return self.present(state)


def _power(squares: krylov.Squares, exponent: int) -> Float64[Tensor, "d s s"]:
    """Multiply the squares that a power is made of."""
    return reduce(torch.matmul, [A for bit, A in enumerate(squares) if exponent >> bit & 1])


FORMS: dict[Mode, type[Recurrence]] = {"linear": Linear, "dense": Dense, "diagonal": Diagonal}
