"""The time mixing of RWKV-7 between its projections: the shift before, the rule, and what it reads.

Peng et al. 2025, "RWKV-7 Goose with Expressive Dynamic State Evolution". Two operators, each with
two forms: kernels in Triton, and torch.

Axes: b batch, l length, d width, h heads, e features of a head.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.layers.delta_layer import unit
from baselines.ops.scans.delta_rule import MOST_KEYS
from baselines.ops.scans.generalized_delta_rule import Transition, generalized_delta_rule

STEEPEST = -math.exp(-0.5)
"""The logarithm of the smallest decay, 0.545."""

Features = Float[Tensor, "b *l d"]
State = Float[Tensor, "b h e e"]
Shifted = tuple[Features, Features, Features, Features, Features, Features]
"""What r, w, k, v, alpha and g are made of."""
Signals = tuple[Tensor, Tensor, Tensor, Transition]
Mixed = tuple[Features, State]


class Parts(NamedTuple):
    """What is projected."""

    r: Features
    k: Features
    v: Features
    slow: Features
    """Logits of the decays."""
    share: Features
    """Logits of alpha, how much is replaced."""
    gate: Features


class Weights(NamedTuple):
    """Parameters of heads."""

    k_k: Float[Tensor, " d"]
    k_a: Float[Tensor, " d"]
    r_k: Float[Tensor, "h e"]
    scale: Float[Tensor, " d"]
    bias: Float[Tensor, " d"]
    eps: float


def token_shift(
    u: Float[Tensor, "b l d"], before: Float[Tensor, "b d"], shares: Float[Tensor, "6 d"]
) -> Shifted:
    """Return features with each share of those of the position before."""
    shifted: Shifted = chosen(SHIFTS, u).run(u, before, shares)
    return shifted


def torch_token_shift(
    u: Float[Tensor, "b l d"], before: Float[Tensor, "b d"], shares: Float[Tensor, "6 d"]
) -> Shifted:
    """Return the same, an operator of torch for each share."""
    change = torch.cat([before[:, None].to(u), u[:, :-1]], 1) - u
    r, w, k, v, a, g = (torch.addcmul(u, change, share) for share in shares.to(u.dtype))
    return r, w, k, v, a, g


SHIFTS = triton("token_shift"), Form("torch", torch_token_shift)


def time_mixing(parts: Parts, weights: Weights, state: State) -> Mixed:
    """Return what is projected in the end, and the last state."""
    mixed: Mixed = chosen(FORMS, weights.r_k, keys=weights.r_k.shape[1]).run(parts, weights, state)
    return mixed


def torch_time_mixing(parts: Parts, weights: Weights, state: State) -> Mixed:
    """Return the same, an operator of torch after the other."""
    driving = signals(parts, weights)
    y, state = generalized_delta_rule(*driving, state)
    return read_out(y, driving, parts.gate, weights), state


def _kernel_fits(x: Tensor, *, keys: int) -> bool:
    return x.dtype.is_floating_point and keys <= MOST_KEYS


FORMS = triton("time_mixing", _kernel_fits), Form("torch", torch_time_mixing)


def signals(parts: Parts, weights: Weights) -> Signals:
    """Return what the rule takes, of heads."""
    r, k, v, slow, share, _ = parts
    alpha = share.sigmoid()
    log_decay = STEEPEST * slow.to(weights.k_k.dtype).sigmoid()
    replaced = k * (1 + (alpha - 1) * weights.k_a)
    every = (r, replaced, v, k * weights.k_k, alpha, log_decay)
    r, replaced, v, kappa, alpha, log_decay = (
        part.unflatten(-1, weights.r_k.shape) for part in every
    )
    kappa = unit(kappa)
    return r, replaced, v, Transition(log_decay, -kappa, kappa * alpha)


def read_out(
    y: Float[Tensor, "b *l h e"], driving: Signals, gate: Features, weights: Weights
) -> Features:
    """Norm the heads, add the own value as far as the query meets the key, and gate."""
    r, k, v, _ = driving
    normed = F.layer_norm(y, y.shape[-1:], eps=weights.eps).flatten(-2)
    own = (r * k * weights.r_k).sum(-1, keepdim=True) * v
    return (torch.addcmul(weights.bias, normed, weights.scale) + own.flatten(-2)) * gate
