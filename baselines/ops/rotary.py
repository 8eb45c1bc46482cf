"""Rotary positions: the product of a query and a key sees only their distance.

Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding". Pairs are
(i, i + e/2), a permutation of the paper's neighbours.

Axes: b batch, h heads, l length, e features of a head.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

Turns = tuple[Float[Tensor, "l 1 e"], Float[Tensor, "l 1 e"]]
"""Cosines, and sines with the sign that the other of the pair is added with."""


def turns(
    positions: Int[Tensor, " l"], features: int, dtype: torch.dtype, base: float = 10_000.0
) -> Turns:
    """Return what turns pair i by position * base^(-2i/e) radians.

    Angles are reduced in float64: at 262,144 positions float32 would leave two digits of them.
    """
    half, at = features // 2, positions.device
    rates = torch.logspace(0, (1 - half) / half, half, base, dtype=torch.float64, device=at)
    angles = (positions[:, None] * rates)[:, None]
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def rotate(x: Float[Tensor, "b l h e"], by: Turns) -> Float[Tensor, "b l h e"]:
    """Turn every position's pairs."""
    cos, sin = by
    first, second = x.split(x.shape[-1] // 2, -1)
    return (x * cos).addcmul_(torch.cat([second, first], -1), sin)
