"""How S5 begins: HiPPO-N in blocks, B and C.

HiPPO-N is the normal part of HiPPO-LegS (arXiv 2208.04933, section 3 and appendix B). B and C are
drawn for real states and then brought into the basis of the eigenvectors, as in lindermanlab/S5.
Its normal distributions are JAX's: the fan counts an array's last axis but one, times all axes
before, and tails are cut off at two standard deviations of the parent distribution.

Axes: d channels, n modes, s states.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Complex128, Float
from torch import Tensor, nn

from baselines.ops.hippo import eigenbasis

CInit = Literal["lecun_normal", "trunc_standard_normal", "complex_normal"]
CUT = 0.87962566103423978
"""Standard deviation of a standard normal variable that is cut off at -2 and 2."""


class Basis(NamedTuple):
    """Eigenvalues and eigenvectors of the block-diagonal state matrix."""

    pole: Complex128[Tensor, " n"]
    vectors: Complex128[Tensor, "s n"]


def block_basis(states: int, blocks: int, *, half: bool) -> Basis:
    """Diagonalise copies of HiPPO-N.

    Args:
        states: P, of all blocks together.
        blocks: How many copies.
        half: Keep the eigenvalues of negative imaginary part alone, one of each conjugate pair.
    """
    size = states // blocks
    kept = size // 2 if half else size
    pole, vectors = (part[..., :kept] for part in eigenbasis("legs", size))
    return Basis(pole.repeat(blocks), torch.block_diag(*[vectors] * blocks))


def draw_input(basis: Basis, width: int) -> Float[Tensor, "n d 2"]:
    """Draw B: real, of variance 1 / P, then in the eigenbasis."""
    real = cut_normal(len(basis.vectors), width, fan=len(basis.vectors))
    return torch.view_as_real(basis.vectors.mH.to(torch.complex64) @ real.to(torch.complex64))


def draw_output(basis: Basis, width: int, init: CInit) -> Float[Tensor, "d n 2"]:
    """Draw C for one direction."""
    states, modes = basis.vectors.shape
    if init == "complex_normal":
        return torch.randn(width, modes, 2) * math.sqrt(0.5)
    fan = states * width if init == "lecun_normal" else states
    C = torch.view_as_complex(cut_normal(width, states, 2, fan=fan))
    return torch.view_as_real(C @ basis.vectors.to(C.dtype))


def cut_normal(*shape: int, fan: int) -> Float[Tensor, "..."]:
    """Draw from a normal distribution without tails, of variance 1 / fan."""
    std = 1 / (CUT * math.sqrt(fan))
    return nn.init.trunc_normal_(torch.empty(*shape), std=std, a=-2 * std, b=2 * std)
