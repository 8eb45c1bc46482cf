"""Rotary positions: the product of a query and a key sees only their distance.

Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding". Pairs are
(i, i + e/2), a permutation of the paper's neighbours.

Axes: b batch, h heads, l length, e features of a head.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def rotate(
    x: Float[Tensor, "b l h e"], positions: Int[Tensor, " l"], base: float = 10_000.0
) -> Float[Tensor, "b l h e"]:
    """Turn pair i of the features by position * base^(-2i/e) radians.

    Angles are reduced in float64: at 262,144 positions float32 would leave two digits of them.
    """
    half = x.shape[-1] // 2
    # Few operators, since a step of generation waits for each of them.
    rates = torch.logspace(0, (1 - half) / half, half, base, dtype=torch.float64, device=x.device)
    angles = positions[:, None] * rates
    cos, sin = (part.to(x.dtype)[:, None] for part in (angles.cos(), angles.sin()))
    first, second = x.chunk(2, -1)
    left = torch.addcmul(first * cos, second, sin, value=-1)
    return torch.cat([left, torch.addcmul(second * cos, first, sin)], -1)
