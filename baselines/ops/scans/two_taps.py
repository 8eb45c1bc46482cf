"""The recurrence of Mamba-3, in which a position adds when it comes and when the next one does.

Lahoti et al. 2026, "Mamba-3". A head holds

    H_t = a_t (H_{t-1} + early_t sum_r B_{t-1,r} x_{t-1,r}^T) + now_t sum_r B_{t,r} x_{t,r}^T,

and y_{t,r} = H_t^T C_{t,r}: of rank R there are R sets of B, C, inputs and outputs.

Axes: b batch, l length, h heads, p features of each, n state, r and s rank.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans.ssd import ssd


class Drives(NamedTuple):
    """What the recurrence takes at each position."""

    x: Float[Tensor, "b *l r h p"]
    B: Float[Tensor, "b *l r h n"]
    C: Float[Tensor, "b *l r h n"]
    log_decay: Float[Tensor, "b *l h"]
    early: Float[Tensor, "b *l h"]
    """The weight of the position before."""
    now: Float[Tensor, "b *l h"]
    """The weight of the position itself."""


def two_taps(
    drives: Drives, memory: Float[Tensor, "b h n p"]
) -> tuple[Float[Tensor, "b l r h p"], Float[Tensor, "b h n p"]]:
    """Return the outputs and the last state, by the scan of Mamba-2, chunk by chunk.

    What a position adds when the next one comes decays as what it adds at once, so both go into one
    weight, and what its own output has not seen yet is taken off. Ranks are places of their own
    in the scan: all of a position write before any reads.

    Args:
        drives: Of all positions; the first one's early weight is not used.
        memory: Before the first position, what that adds of the one before it included.
    """
    x, B, C, log_decay, early, now = drives
    rank, later = x.shape[2], F.pad(early[:, 1:], (0, 0, 0, 1))
    after, before = (0, 0, 0, 0, 0, rank - 1), (0, 0, 0, 0, rank - 1, 0)
    y, memory = ssd(
        F.pad(x, after).flatten(1, 2),
        (now + later).repeat_interleave(2 * rank - 1, 1),
        F.pad(log_decay[:, :, None], (0, 0, 0, 2 * rank - 2)).flatten(1, 2),
        F.pad(B, after).flatten(1, 2),
        F.pad(C, before).flatten(1, 2),
        memory,
    )
    y = y.unflatten(1, (-1, 2 * rank - 1))[:, :, rank - 1 :]
    own = torch.einsum("blrhn,blshn->blrsh", C, B) * later[:, :, None, None]
    return y - torch.einsum("blrsh,blshp->blrhp", own, x), memory


def recurrent_two_taps(
    drives: Drives, memory: Float[Tensor, "b h n p"]
) -> tuple[Float[Tensor, "b l r h p"], Float[Tensor, "b h n p"]]:
    """Take the positions one by one, the twin of `two_taps`."""
    outputs, late = [], torch.zeros_like(memory)
    for x, B, C, log_decay, early, now in zip(*(part.unbind(1) for part in drives), strict=True):
        memory = memory + early[..., None, None] * late
        late = torch.einsum("brhn,brhp->bhnp", B, x)
        memory = log_decay.exp()[..., None, None] * memory + now[..., None, None] * late
        outputs.append(torch.einsum("brhn,bhnp->brhp", C, memory))
    return torch.stack(outputs, 1), memory
