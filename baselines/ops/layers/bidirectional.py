"""The second direction of time, for layers that scan a sequence from both ends.

Axes: b batch, l length.
"""

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


def reverse_valid(
    x: Shaped[Tensor, "b l ..."], lengths: Int[Tensor, " b"] | None
) -> Shaped[Tensor, "b l ..."]:
    """Reverse each sequence's valid positions; padding stays on the right.

    Applied twice it gives the sequence back.

    Args:
        x: Sequences.
        lengths: Valid positions of each; None if all are.
    """
    if lengths is None:
        return x.flip(1)
    positions = torch.arange(x.shape[1], device=x.device)
    source = (lengths[:, None] - 1 - positions) % x.shape[1]
    return x[torch.arange(len(x), device=x.device)[:, None], source]
