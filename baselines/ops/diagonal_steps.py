"""The steps of a diagonal system, a block of positions at a time.

Axes: b batch, d channels, g sets of poles, n modes, m = 2n real and imaginary parts.
"""

from typing import final

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor

from baselines.ops import diagonal
from baselines.ops.block_steps import MOST_POSITIONS, BlockSteps
from baselines.ops.powers import power, powers


def positions(modes: int) -> int:
    """Return the positions of a block: inputs and outputs take half as many bytes as the modes."""
    return min(MOST_POSITIONS, max(1, modes // 2))


@final
class DiagonalSteps(BlockSteps):
    """A block's states are the modes."""

    def __init__(
        self,
        weight: Complex[Tensor, "d n"],
        pole: Complex128[Tensor, "g n"],
        skip: Float[Tensor, " d"],
    ) -> None:
        self.weight, self.pole = weight, pole
        size = positions(pole.shape[-1])
        table = powers(pole, size, weight.dtype)
        fading = (table * pole.to(weight.dtype)[:, None]).conj().resolve_conj()
        taps = diagonal.kernel(weight[:, None], pole, size)[:, 0].mT.contiguous()
        taps[0] += skip
        super().__init__(
            taps,
            arriving=torch.view_as_real(table.flip(1)).flatten(2).squeeze(0),
            fading=torch.view_as_real(fading).flatten(2).squeeze(0).mT,
        )
        self.turn = self._turn(size)

    def read(self, start: Complex[Tensor, "b d n"]) -> Float[Tensor, "b d m"]:
        """Weigh the modes."""
        return torch.view_as_real(start * self.weight).flatten(2)

    def moved(
        self, start: Complex[Tensor, "b d n"], arrived: Float[Tensor, "b d m"], steps: int
    ) -> Complex[Tensor, "b d n"]:
        """Turn each mode by its pole."""
        turn = self.turn if steps == self.size else self._turn(steps)
        return (turn * start).add_(torch.view_as_complex(arrived.unflatten(-1, (-1, 2))))

    def _turn(self, steps: int) -> Complex[Tensor, "g n"]:
        """Return what a mode is multiplied by over some steps, in the working precision."""
        return power(self.pole, steps).to(self.weight.dtype)
