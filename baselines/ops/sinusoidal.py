"""Sinusoidal positions, added to features: Vaswani et al. 2017, section 3.5.

Axes: l length, d width.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sinusoids(
    positions: Int[Tensor, " l"], width: int, dtype: torch.dtype, base: float = 10_000.0
) -> Float[Tensor, "l d"]:
    """Return sin(position base^(-2i/d)) at feature 2i, and the cosine at feature 2i + 1.

    Angles are reduced in float64: at 262,144 positions float32 would leave two digits of them.
    """
    pairs = torch.arange(0, width, 2, device=positions.device, dtype=torch.float64)
    angles = torch.outer(positions.double(), base ** (-pairs / width))
    table = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    return table[:, :width].to(dtype)
