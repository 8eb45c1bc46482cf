"""Diagonal linear systems: their kernels, states and steps, fast and by the textbook.

All diagonal models share one normal form, a system that its input drives with weight one,

    x_l = pole * x_{l-1} + u_l,    y_l = Re sum_n weight_n x_{l,n},

so its kernel is K_l = Re sum_n weight_n pole_n^l. Conjugate pairs are stored once, and their weight
doubled. Poles are complex128 whatever the working precision, because the phase of pole^l loses one
digit a decade of l; weights and results have the working precision.

Axes: d channels, g sets of poles (d, or 1 if all channels share them), n modes, k kernels of one
channel (directions of time), b batch, l length, m = 2n real and imaginary parts.
"""

import math
from typing import final

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor

from baselines.ops.convolution.fft_convolution import transposed
from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans.powers import power, powers
from baselines.ops.ssm.block_steps import MOST_POSITIONS, BlockSteps


def kernel(
    weight: Complex[Tensor, "d k n"], pole: Complex128[Tensor, "g n"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the first taps of the kernels, in the split form.

    With l = iM + j, pole^l = pole^(iM) pole^j, so all taps are one batched real matrix product of
    two small tables, and no (d, n, l) tensor is ever built: O(d (l + n sqrt(l))) numbers.
    """
    channels, kernels, _ = weight.shape
    block = _split(max(length, 1), channels * kernels // len(pole))
    # Kernels must not follow an activation into half precision: they are parameters.
    with torch.autocast(weight.device.type, enabled=False):
        taps: Tensor = chosen(FORMS, pole).run(weight, pole, length, block)
    return taps


def split_taps(
    weight: Complex[Tensor, "d k n"], pole: Complex128[Tensor, "g n"], length: int, block: int
) -> Float[Tensor, "d k l"]:
    """Return the taps in torch, of M positions each row of the product."""
    channels, kernels, modes = weight.shape
    coarse = powers(pole, -(-max(length, 1) // block), weight.dtype, block)
    # Re(x y) is the dot product of the real pairs of x and of conj(y).
    left = torch.view_as_real(weight[:, :, None] * coarse[:, None]).reshape(channels, -1, 2 * modes)
    right = torch.view_as_real(powers(pole.conj().resolve_conj(), block, weight.dtype)).flatten(2)
    taps: Tensor = left @ right.squeeze(0).mT
    return taps.reshape(channels, kernels, -1)[..., :length]


FORMS = triton("diagonal_taps"), Form("split", split_taps)


def textbook_kernel(
    weight: Complex[Tensor, "d k n"], pole: Complex128[Tensor, "g n"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the first taps of the kernels by the Vandermonde product, the twin of `kernel`."""
    exponents = torch.arange(length, device=pole.device, dtype=torch.float64)
    vandermonde = torch.exp(pole.log()[..., None] * exponents).to(weight.dtype)
    return torch.einsum("dkn,dnl->dkl", weight, vandermonde.expand(len(weight), -1, -1)).real


def final_state(
    pole: Complex128[Tensor, "g n"], u: Float[Tensor, "b l d"], state: Complex[Tensor, "b d n"]
) -> Complex[Tensor, "b d n"]:
    """Return pole^L state + sum_l pole^(L-1-l) u_l, the state after a piece, without a loop.

    Blocks are summed by one batched real product, and the block sums by Horner's rule written out.
    """
    batch, length, channels = u.shape
    if not length:
        return state
    block = _split(length, batch * channels // len(pole))
    blocks = -(-length // block)
    fine = torch.view_as_real(powers(pole, block, state.dtype).flip(1)).flatten(2)
    coarse = powers(pole, blocks, state.dtype, block).flip(1)
    rows = torch.nn.functional.pad(transposed(u).transpose(0, 1), (blocks * block - length, 0))
    rows = rows.to(fine.dtype).reshape(channels, batch * blocks, block)
    with torch.autocast(u.device.type, enabled=False):
        products = rows @ fine.squeeze(0)
    sums = torch.view_as_complex(products.unflatten(-1, (-1, 2))).unflatten(1, (batch, blocks))
    added = (sums * coarse[:, None]).sum(2).transpose(0, 1)
    return torch.addcmul(added, power(pole, length).to(state.dtype), state).contiguous()


def naive_final_state(
    pole: Complex128[Tensor, "g n"], u: Float[Tensor, "b l d"], state: Complex[Tensor, "b d n"]
) -> Complex[Tensor, "b d n"]:
    """Return the state after a piece, position by position, the twin of `final_state`."""
    exact = state.to(torch.complex128)
    for position in range(u.shape[1]):
        exact = pole * exact + u[:, position, :, None]
    return exact.to(state.dtype)


def response(
    weight: Complex[Tensor, "d n"],
    pole: Complex128[Tensor, "g n"],
    state: Complex[Tensor, "b d n"],
    length: int,
) -> Float[Tensor, "b l d"]:
    """Return what a state still gives out over the next positions if no input comes."""
    fading = weight * pole.to(weight.dtype) * state
    return kernel(fading.transpose(0, 1), pole, length).permute(1, 2, 0)


def steps_per_block(modes: int) -> int:
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
        size = steps_per_block(pole.shape[-1])
        table = powers(pole, size, weight.dtype)
        fading = (table * pole.to(weight.dtype)[:, None]).conj().resolve_conj()
        taps = kernel(weight[:, None], pole, size)[:, 0].mT.contiguous()
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


def _split(length: int, rows: int) -> int:
    """Return the power of two at which the two tables of a split sum are about equally large."""
    return 1 << min((length - 1).bit_length(), round(math.log2(length * max(rows, 1)) / 2))
