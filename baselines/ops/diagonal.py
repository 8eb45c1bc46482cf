"""Diagonal linear systems: their kernels and their states, fast and by the textbook.

All diagonal models share one normal form, a system that its input drives with weight one,

    x_l = pole * x_{l-1} + u_l,    y_l = Re sum_n weight_n x_{l,n},

so its kernel is K_l = Re sum_n weight_n pole_n^l. Conjugate pairs are stored once, and their weight
doubled. Poles are complex128 whatever the working precision, because the phase of pole^l loses one
digit a decade of l; weights and results have the working precision.

Axes: d channels, g sets of poles (d, or 1 if all channels share them), n modes, k kernels of one
channel (directions of time), b batch, l length.
"""

import math

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor

from baselines.ops.layout import transposed
from baselines.ops.powers import power, powers


def kernel(
    weight: Complex[Tensor, "d k n"], pole: Complex128[Tensor, "g n"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the first taps of the kernels, in the split form.

    With l = iM + j, pole^l = pole^(iM) pole^j, so all taps are one batched real matrix product of
    two small tables, and no (d, n, l) tensor is ever built: O(d (l + n sqrt(l))) numbers.
    """
    channels, kernels, modes = weight.shape
    count = max(length, 1)
    block = _block(count, channels * kernels // len(pole))
    coarse = powers(power(pole, block), -(-count // block), weight.dtype)
    # Re(x y) is the dot product of the real pairs of x and of conj(y).
    left = torch.view_as_real(weight[:, :, None] * coarse[:, None]).reshape(channels, -1, 2 * modes)
    right = torch.view_as_real(powers(pole.conj().resolve_conj(), block, weight.dtype)).flatten(2)
    # Kernels must not follow an activation into half precision: they are parameters.
    with torch.autocast(weight.device.type, enabled=False):
        taps: Tensor = left @ right.squeeze(0).mT
    return taps.reshape(channels, kernels, -1)[..., :length]


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
    block = _block(length, batch * channels // len(pole))
    blocks = -(-length // block)
    fine = torch.view_as_real(powers(pole, block, state.dtype).flip(1)).flatten(2)
    coarse = powers(power(pole, block), blocks, state.dtype).flip(1)
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
    """Return the state after a piece by walking it, the twin of `final_state`."""
    walked = state.to(torch.complex128)
    for position in range(u.shape[1]):
        walked = pole * walked + u[:, position, :, None]
    return walked.to(state.dtype)


def response(
    weight: Complex[Tensor, "d n"],
    pole: Complex128[Tensor, "g n"],
    state: Complex[Tensor, "b d n"],
    length: int,
) -> Float[Tensor, "b l d"]:
    """Return what a state still gives out over the next positions if no input comes."""
    fading = weight * pole.to(weight.dtype) * state
    return kernel(fading.transpose(0, 1), pole, length).permute(1, 2, 0)


def _block(length: int, rows: int) -> int:
    """Return the power of two at which the two tables of a split sum are about equally large."""
    return 1 << min((length - 1).bit_length(), round(math.log2(length * max(rows, 1)) / 2))
