"""The steps of a diagonal system, which goes through its modes once a block of positions.

A wide layer's modes fill more than a cache, so a step that goes through them waits for memory. Here
a step reaches the outputs of its block through the first taps of the kernel, a short convolution;
what the past gives to a block is worked out as the block begins, by matrix products.

Axes: b batch, d channels, g sets of poles, n modes, p positions of a block, q those that are left,
m = 2n real and imaginary parts.
"""

from typing import NamedTuple, final

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor

from baselines.ops import diagonal
from baselines.ops.powers import power, powers

MOST_POSITIONS = 32
"""Positions of a block. Going through the modes is spread over them; the tables grow with them."""


class DiagonalState(NamedTuple):
    """What steps carry from one to the next, in whose memory they work.

    How far a block has come is how many outputs are ahead: a count in a tensor would cost a step
    two operators more.
    """

    modes: Complex[Tensor, "b d n"]
    """As they were when the block began."""
    inputs: Float[Tensor, "b p d"]
    """Those of the block's positions that are done, then what they overwrite."""
    ahead: Float[Tensor, "b q d"]
    """What the past gives to the outputs of the block that are still to come."""

    def done(self) -> int:
        """Return how many of the block's positions are done."""
        return self.inputs.shape[1] - self.ahead.shape[1]


def positions(modes: int) -> int:
    """Return the positions of a block: inputs and outputs take half as many bytes as the modes."""
    return min(MOST_POSITIONS, max(1, modes // 2))


@final
class DiagonalSteps:
    """A system made ready for steps; its tables belong to the parameters that it was made of."""

    def __init__(
        self,
        weight: Complex[Tensor, "d n"],
        pole: Complex128[Tensor, "g n"],
        skip: Float[Tensor, " d"],
    ) -> None:
        self.weight, self.pole = weight, pole
        self.size = positions(pole.shape[-1])
        table = powers(pole, self.size, weight.dtype)
        self.arriving = torch.view_as_real(table.flip(1)).flatten(2).squeeze(0)
        fading = (table * pole.to(weight.dtype)[:, None]).conj().resolve_conj()
        self.fading = torch.view_as_real(fading).flatten(2).squeeze(0).mT
        self.turn = self._turn(self.size)
        taps = diagonal.kernel(weight[:, None], pole, self.size)[:, 0].mT.contiguous()
        taps[0] += skip
        self.taps = [taps[: self.size - done] for done in range(self.size)]

    def begin(
        self, modes: Complex[Tensor, "b d n"], inputs: Float[Tensor, "b p d"] | None = None
    ) -> DiagonalState:
        """Begin a block, in the memory of another's inputs if there is one."""
        read = torch.view_as_real(modes * self.weight).flatten(2)
        # Not a transpose alone: with its strides even one sequence would be multiplied row by row.
        rows = read.transpose(0, 1).reshape(modes.shape[1], len(modes), -1)
        with torch.autocast(modes.device.type, enabled=False):
            block = rows @ self.fading
        ahead = block.permute(1, 2, 0).contiguous()
        return DiagonalState(modes, torch.zeros_like(ahead) if inputs is None else inputs, ahead)

    def step(
        self, u: Float[Tensor, "b d"], state: DiagonalState
    ) -> tuple[Float[Tensor, "b d"], DiagonalState]:
        """Return the output and the state after it."""
        modes, inputs, ahead = state
        done, seen = state.done(), u.to(ahead.dtype)
        inputs.select(1, done).copy_(seen)
        y = ahead.addcmul_(seen[:, None], self.taps[done]).select(1, 0).to(u.dtype)
        after = DiagonalState(modes, inputs, ahead[:, 1:])
        return y, self.begin(self.modes(after), inputs) if done + 1 == self.size else after

    def modes(self, state: DiagonalState) -> Complex[Tensor, "b d n"]:
        """Return the modes after the positions that are done."""
        done = state.done()
        if not done:
            return state.modes
        seen = state.inputs[:, :done].permute(2, 0, 1).contiguous()
        with torch.autocast(seen.device.type, enabled=False):
            arrived = seen @ self.arriving[..., self.size - done :, :]
        driven = torch.view_as_complex(arrived.unflatten(-1, (-1, 2))).transpose(0, 1)
        turn = self.turn if done == self.size else self._turn(done)
        return (turn * state.modes).add_(driven)

    def _turn(self, steps: int) -> Complex[Tensor, "g n"]:
        """Return what a mode is multiplied by over some steps, in the working precision."""
        return power(self.pole, steps).to(self.weight.dtype)
