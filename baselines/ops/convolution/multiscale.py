"""Long kernels made of short pieces that are stretched ever further and fade (SGConv).

Piece i is stretched by 2^max(0, i-1) and weighed by 1 / decay^i; pieces stand end to end, so s of p
parameters each reach p 2^(s-1) positions.

Axes: s pieces, d channels, k kernels of one channel, p parameters of a piece, l taps.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton


def scales(length: int, piece: int) -> int:
    """Return how many pieces reach over `length` positions."""
    return 1 + max(0, math.ceil(math.log2(length / piece)))


def multiscale_kernel(
    pieces: Float[Tensor, "s d k p"], decay: Float[Tensor, " d"], length: int
) -> Float[Tensor, "d k l"]:
    """Return at most `length` taps, fewer where the pieces do not reach so far.

    Gradients are those of pieces.
    """
    taps: Tensor = chosen(FORMS, pieces).run(pieces, decay, length)
    return taps


def torch_multiscale_kernel(
    pieces: Float[Tensor, "s d k p"], decay: Float[Tensor, " d"], length: int
) -> Float[Tensor, "d k l"]:
    """Return them piece by piece.

    Stretching is linear interpolation between the centres of the cells (Li et al. 2022, eq. 1, and
    their code).
    """
    weight, reach = torch.ones_like(decay)[:, None, None], 0
    stretched = [pieces[0, ..., :0]]
    for number, piece in enumerate(pieces):
        if reach >= length:
            break
        factor = 1 << max(0, number - 1)
        # The last piece may be cut; one number more than is seen keeps its interpolation right.
        seen = piece[..., : math.ceil((length - reach) / factor) + 1] * weight
        wide = F.interpolate(seen, scale_factor=factor, mode="linear") if factor > 1 else seen
        stretched.append(wide[..., : min(length - reach, factor * piece.shape[-1])])
        reach, weight = reach + factor * piece.shape[-1], weight / decay[:, None, None]
    return torch.cat(stretched, -1)


FORMS = triton("multiscale_kernel"), Form("torch", torch_multiscale_kernel)


def naive_multiscale_kernel(
    pieces: Float[Tensor, "s d k p"], decay: Float[Tensor, " d"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the taps one by one, the twin of `multiscale_kernel`."""
    size, taps = pieces.shape[-1], []
    for number, piece in enumerate(pieces):
        factor = 2 ** max(0, number - 1)
        for tap in range(factor * size):
            place = min(max((tap + 0.5) / factor - 0.5, 0), size - 1)
            left = int(place)
            right = min(left + 1, size - 1)
            share = place - left
            mixed = (1 - share) * piece[..., left] + share * piece[..., right]
            taps.append(mixed / decay[:, None] ** number)
    return torch.stack(taps[:length], -1)
