"""What stands before and behind the scan of Mamba-3: from what is projected to what is gated.

Lahoti et al. 2026, "Mamba-3". Decays, step sizes and shares come from the input; B and C are
normed, biased and turned by angles that add up. Two forms: kernels in Triton, and torch.

Axes: b batch, l length, c all that is projected, h heads, p features of each, n state, r rank,
k angles.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans.two_taps import Drives, two_taps

EPS, LEAST_DECAY = 1e-5, 1e-4


class Weights(NamedTuple):
    """Parameters of the heads."""

    dt_bias: Float[Tensor, " h"]
    B_norm: Float[Tensor, " n"]
    C_norm: Float[Tensor, " n"]
    B_bias: Float[Tensor, "r h n"]
    C_bias: Float[Tensor, "r h n"]
    D: Float[Tensor, " h"]
    x_scale: Float[Tensor, "r h p"] | None
    """Of a rank above one."""
    parts: list[int]
    """Features of z, x, B, C, dt, A, share and angles, in the authors' order."""


class TwoTapState(NamedTuple):
    """What goes on to the next position."""

    memory: Float[Tensor, "b h n p"]
    B: Float[Tensor, "b r h n"]
    """Of the last position, turned."""
    x: Float[Tensor, "b r h p"]
    """Of the last position."""
    angle: Float[Tensor, "b h k"]
    """By which B and C of the last position were turned."""


Scanned = tuple[Float[Tensor, "b l w"], Float[Tensor, "b l r h p"], TwoTapState]
"""The gate, what it is to gate, and the last state."""


def two_tap_layer(
    projected: Float[Tensor, "b l c"], weights: Weights, state: TwoTapState
) -> Scanned:
    """Scan what is projected."""
    form = chosen(FORMS, weights.D, rank=len(weights.B_bias))
    scanned: Scanned = form.run(projected, weights, state)
    return scanned


def torch_two_tap_layer(
    projected: Float[Tensor, "b l c"], weights: Weights, state: TwoTapState
) -> Scanned:
    """Do the same, an operator of torch after the other."""
    z, drives, angle = drives_of(projected, weights, state.angle)
    first = outer(state.B, state.x * drives.early[:, 0, None, :, None])
    y, memory = two_taps(drives, state.memory + first)
    y = torch.addcmul(y, weights.D[:, None], drives.x)
    last = (drives.B[:, -1].clone(), drives.x[:, -1].clone())
    return z, y, TwoTapState(memory, *last, angle)


def two_tap_step(
    projected: Float[Tensor, "b c"], weights: Weights, state: TwoTapState
) -> tuple[Float[Tensor, "b w"], Float[Tensor, "b r h p"], TwoTapState]:
    """Advance one position without gradients."""
    z, drives, angle = drives_of(projected[:, None], weights, state.angle)
    drives = Drives(*(part[:, 0] for part in drives))
    late = state.x * drives.early[:, None, :, None]
    memory = state.memory.add_(outer(state.B, late)).mul_(drives.log_decay.exp()[..., None, None])
    memory.add_(outer(drives.B, drives.x * drives.now[:, None, :, None]))
    y = (drives.C.transpose(1, 2) @ memory).transpose(1, 2)
    y = torch.addcmul(y, weights.D[:, None], drives.x)
    return z[:, 0], y, TwoTapState(memory, drives.B, drives.x.clone(), angle)


def drives_of(
    projected: Float[Tensor, "b l c"], weights: Weights, angle: Float[Tensor, "b h k"]
) -> tuple[Float[Tensor, "b l w"], Drives, Float[Tensor, "b h k"]]:
    """Return the gate, what the recurrence takes, and the last angle, from the one before."""
    z, x, B, C, dt, A, share, turn = projected.split(weights.parts, -1)
    dt, A, share, turn = (part.to(weights.dt_bias.dtype) for part in (dt, A, share, turn))
    dt, share = F.softplus(dt + weights.dt_bias), share.sigmoid()
    # 1 + v above zero, 1 / (1 - v) below.
    A = (1 + A.relu()) / (1 + (-A).relu())
    # In double: an angle that has added up over a long sequence keeps its digits.
    turned = (math.pi * turn.tanh()[..., None, :] * dt[..., None]).double().cumsum(1)
    turned = (angle[:, None] + turned).remainder(2 * math.pi).to(dt.dtype)
    x = x.unflatten(-1, (1, len(weights.D), -1))
    B = _rotated(_normed(B, weights.B_norm)[..., None, :] + weights.B_bias, turned)
    C = _rotated(_normed(C, weights.C_norm)[..., None, :] + weights.C_bias, turned)
    x = x.to(B.dtype) if weights.x_scale is None else x * weights.x_scale
    log_decay = -dt * A.clamp(min=LEAST_DECAY)
    return z, Drives(x, B, C, log_decay, (1 - share) * dt, share * dt), turned[:, -1].clone()


def outer(B: Float[Tensor, "b r h n"], x: Float[Tensor, "b r h p"]) -> Float[Tensor, "b h n p"]:
    """Return the sum over ranks of what they add to a state."""
    return B.permute(0, 2, 3, 1) @ x.transpose(1, 2)


def of_rank_one(x: Tensor, *, rank: int) -> bool:
    """Say whether there is one set of B, C and x, as kernels want it."""
    del x
    return rank == 1


FORMS = triton("two_tap_layer", of_rank_one), Form("torch", torch_two_tap_layer)


def _normed(part: Float[Tensor, "b l s"], scale: Float[Tensor, " n"]) -> Float[Tensor, "b l r n"]:
    """Norm each set, in the precision of the scale; autocast would leave it to a slow path."""
    return torch.rms_norm(part.unflatten(-1, (-1, len(scale))).to(scale), scale.shape, scale, EPS)


def _rotated(
    x: Float[Tensor, "b l r h n"], angle: Float[Tensor, "b l h k"]
) -> Float[Tensor, "b l r h n"]:
    """Turn the first k pairs of neighbours."""
    turned, kept = x.split([2 * angle.shape[-1], x.shape[-1] - 2 * angle.shape[-1]], -1)
    even, odd = turned.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angle.cos()[:, :, None], angle.sin()[:, :, None]
    both = torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1)
    return torch.cat([both.flatten(-2), kept], -1)
