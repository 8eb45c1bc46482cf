"""A linear model as the state, which every position trains by a step of gradient descent.

Sun et al. 2024, "Learning to (Learn at Test Time): RNNs with Expressive Hidden States", sections
2.4 and 2.5. The inner model maps a key to k + norm(S^T k'), k' = [k, 1], and its loss is half the
squared distance to the value. In a mini-batch every gradient is taken at the S that it began with:

    S_t = S_{t-1} - eta_t k'_t g_t^T,    z_t = S_t^T q'_t,

with g_t the loss's gradient by S^T k'_t: a mini-batch is three matrix products, the dual form.

Axes: b batch, l length, h heads, e features, f features with the constant (e + 1); s positions of a
mini-batch.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans.checkpointed_scan import checkpointed_scan

MINI_BATCH = 16
"""Positions whose gradients are taken at the same state."""
SEGMENT = 64
"""Mini-batches whose products are held at a time."""
EPS = 1e-6

Signals = Float[Tensor, "b *l h e"]
Matrix = Float[Tensor, "b h f e"]


class InnerNorm(NamedTuple):
    """The norm of the inner model."""

    weight: Float[Tensor, "h e"]
    bias: Float[Tensor, "h e"]


class InnerModel(NamedTuple):
    """What a sequence has made of the inner model."""

    begun: Matrix
    """At the beginning of the mini-batch."""
    now: Matrix


class Step(NamedTuple):
    """What a position asks of the inner model, and teaches it."""

    q: Signals
    k: Signals
    v: Signals
    eta: Float[Tensor, "b *l h 1"]
    """The learning rate."""


def ttt_linear(step: Step, norm: InnerNorm, model: InnerModel) -> tuple[Signals, InnerModel]:
    """Return what the queries read and the model after the last position.

    Memory O(b l h e); what is inside is recomputed for the gradient. Float32 at least.

    Args:
        step: Of all positions, the first of which begins a mini-batch.
        norm: Of the inner model.
        model: Before the first position; both of its parts are the same.
    """
    dtype = torch.promote_types(step.v.dtype, torch.float32)
    begun = now = model.now.to(dtype)
    shared = tuple(part.to(dtype) for part in norm)
    length, outputs = step.v.shape[1], []
    # The last mini-batch apart if it is not full: it has begun at the end of those before it.
    for part in (slice(length - length % MINI_BATCH), slice(length - length % MINI_BATCH, None)):
        inputs = tuple(each[:, part].to(dtype) for each in step)
        if inputs[0].shape[1]:
            begun = now
            with torch.autocast(step.v.device.type, enabled=False):
                z, (now,) = checkpointed_scan(
                    _segment, SEGMENT * MINI_BATCH, (begun,), inputs, shared
                )
            outputs.append(z.to(step.v.dtype))
    z = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)
    return z, InnerModel(begun if length % MINI_BATCH else now, now)


def recurrent_ttt_linear(
    step: Step, norm: InnerNorm, model: InnerModel
) -> tuple[Signals, InnerModel]:
    """Take the positions one by one, each gradient by autograd, the twin of `ttt_linear`."""
    outputs = []
    for t, (q, k, v, eta) in enumerate(zip(*(part.unbind(1) for part in step), strict=True)):
        begun = model.now if t % MINI_BATCH == 0 else model.begun
        read = torch.einsum("bhf,bhfe->bhe", extended(k), begun)
        with torch.enable_grad():
            leaf = read if read.requires_grad else read.detach().requires_grad_()
            mapped = k + torch.stack(
                [
                    F.layer_norm(each, each.shape[-1:], weight, bias, EPS)
                    for each, weight, bias in zip(leaf.unbind(1), *norm, strict=True)
                ],
                1,
            )
            loss = 0.5 * (mapped - v).square().sum()
            (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
        moved = model.now - torch.einsum("bhf,bhe->bhfe", extended(k), eta * slope)
        model = InnerModel(begun, moved)
        outputs.append(torch.einsum("bhf,bhfe->bhe", extended(q), moved))
    return torch.stack(outputs, 1), model


def ttt_step(step: Step, norm: InnerNorm, model: InnerModel) -> Float[Tensor, "b h e"]:
    """Advance one position within a mini-batch, without gradients; the model moves in place."""
    q, k, v, eta = (part[..., None, :] for part in step)
    k = extended(k)
    slope = _slope(
        k @ model.begun, v - step.k[..., None, :], InnerNorm(*(p[:, None] for p in norm))
    )
    model.now.sub_(k.mT * (eta * slope))
    return (extended(q) @ model.now).squeeze(-2)


def extended(x: Float[Tensor, "*b e"]) -> Float[Tensor, "*b f"]:
    """Append the constant one."""
    return F.pad(x, (0, 1), value=1.0)


def normed(z: Float[Tensor, "*b e"], norm: InnerNorm) -> Float[Tensor, "*b e"]:
    """Norm each head's features."""
    return torch.addcmul(norm.bias, F.layer_norm(z, z.shape[-1:], eps=EPS), norm.weight)


def _segment(start: tuple[Tensor], *parts: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """Do a segment, mini-batch after mini-batch; products that need no state at once."""
    *inputs, weight, bias = parts
    length = inputs[0].shape[1]
    q, k, v, eta = (
        F.pad(part, (0, 0, 0, 0, 0, -length % MINI_BATCH))
        .unflatten(1, (-1, MINI_BATCH))
        .permute(1, 0, 3, 2, 4)
        for part in inputs
    )
    goal, norm = v - k, InnerNorm(weight[:, None], bias[:, None])
    q, k = extended(q), extended(k)
    taught = eta * k
    pairs = (q @ taught.mT).tril()
    (model,), outputs = start, []
    each = (q, k, goal, taught.mT, pairs)
    for query, key, aim, lesson, pair in zip(*(part.unbind() for part in each), strict=True):
        slope = _slope(key @ model, aim, norm)
        outputs.append(query @ model - pair @ slope)
        model = model - lesson @ slope
    z = torch.stack(outputs, 1).transpose(2, 3).flatten(1, 2)
    return z[:, :length], (model,)


def _slope(read: Tensor, goal: Tensor, norm: InnerNorm) -> Tensor:
    """Return the gradient of half the squared distance of a norm's output to its goal."""
    centred = read - read.mean(-1, keepdim=True)
    scale = (centred.square().mean(-1, keepdim=True) + EPS).rsqrt()
    unit = centred * scale
    above = (torch.addcmul(norm.bias, unit, norm.weight) - goal) * norm.weight
    mean = above.mean(-1, keepdim=True)
    return scale * (above - mean - unit * (above * unit).mean(-1, keepdim=True))
