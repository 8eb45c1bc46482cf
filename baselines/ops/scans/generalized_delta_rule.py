"""The generalised delta rule: what is erased and what is written lie in directions of their own.

Peng et al. 2025, "RWKV-7 Goose with Expressive Dynamic State Evolution", section 4. A head holds

    S_t = Diag(f_t) S_{t-1} + b_t (S_{t-1}^T a_t)^T + k_t v_t^T,    y_t = S_t^T q_t,

so a transition is a diagonal matrix and one of rank one. With a = -e f k and b = k it is the gated
delta rule. In a chunk, what all a read is the solution of a unit triangular system, since what each
reads holds what those before it have read. Decays are given as their logarithms, and differences of
their sums alone are raised, so nothing overflows.

Axes: b batch, l length, h heads, k key features, v value features; n chunks, s positions of one.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.delta_rule import pairs_between

CHUNK = 64
"""Positions whose products form one matrix."""
SEGMENT = 1024
"""Positions of the whole batch whose matrices are held at a time."""

Keys = Float[Tensor, "b l h k"]
Values = Float[Tensor, "b l h v"]
State = Float[Tensor, "b h k v"]


class Transition(NamedTuple):
    """What a position does to the state before it adds its value."""

    log_decay: Float[Tensor, "b *l h k"]
    """Logarithms of the decays f, finite and at most 0."""
    a: Float[Tensor, "b *l h k"]
    """Where in the state is read before it decays."""
    b: Float[Tensor, "b *l h k"]
    """Where in the state is added what a has read."""


def generalized_delta_rule(
    q: Keys, k: Keys, v: Values, transition: Transition, state: State
) -> tuple[Values, State]:
    """Return the outputs and the last state, chunk by chunk.

    Memory O(b l h (k + v)); matrices are recomputed for the gradient. Float32 at least.

    Args:
        q: Where in the state the output is read, after the position's update.
        k: Where in the state the value is added.
        v: Values.
        transition: What becomes of the state before.
        state: Before the first position.
    """
    if not v.shape[1]:
        return v, state
    dtype = torch.promote_types(v.dtype, torch.float32)
    rows = max(1, SEGMENT // (CHUNK * max(1, len(v)))) * CHUNK
    inputs = tuple(part.to(dtype) for part in (q, k, v, *transition))
    with torch.autocast(v.device.type, enabled=False):
        y, (state,) = checkpointed_scan(_segment, rows, (state.to(dtype),), inputs)
    return y.to(v.dtype), state


def recurrent_generalized_delta_rule(
    q: Keys, k: Keys, v: Values, transition: Transition, state: State
) -> tuple[Values, State]:
    """Take the positions one by one, the twin of `generalized_delta_rule`."""
    outputs = []
    each = (part.unbind(1) for part in (q, k, v, *transition))
    for query, key, value, log_f, reader, writer in zip(*each, strict=True):
        read = torch.einsum("bhk,bhkv->bhv", reader, state)
        state = log_f.exp()[..., None] * state
        state = state + torch.einsum("bhk,bhv->bhkv", writer, read)
        state = state + torch.einsum("bhk,bhv->bhkv", key, value)
        outputs.append(torch.einsum("bhk,bhkv->bhv", query, state))
    return torch.stack(outputs, 1), state


def generalized_delta_step(
    q: Float[Tensor, "b h k"],
    k: Float[Tensor, "b h k"],
    v: Float[Tensor, "b h v"],
    transition: Transition,
    state: State,
) -> tuple[Float[Tensor, "b h v"], State]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    log_decay, a, b = transition
    read = a[..., None, :] @ state
    state.mul_(log_decay.exp()[..., None])
    state.addcmul_(b[..., None], read).addcmul_(k[..., None], v[..., None, :])
    return (q[..., None, :] @ state).squeeze(-2), state


def _segment(start: tuple[Tensor], *parts: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """Do a segment: all that needs no state for all chunks at once, then their states in turn."""
    (state,) = start
    length = parts[0].shape[1]
    size = min(CHUNK, 1 << (length - 1).bit_length())
    q, k, v, log_decay, a, b = (
        F.pad(part, (0, 0, 0, 0, 0, -length % size))
        .unflatten(1, (-1, size))
        .permute(1, 0, 3, 2, 4)
        .flatten(1, 2)
        for part in parts
    )
    # Small next to the rest, so in double: differences of the sums keep all their digits.
    total = log_decay.double().cumsum(-2)
    since, until = (part.to(k) for part in (total.exp(), (total[..., -1:, :] - total).exp()))
    # What a reads it reads one position earlier, so it stands there while products are made.
    early = torch.stack([F.pad(a[..., 1:, :], (0, 0, 0, 1)), q], 2)
    (reread, again), (known, direct) = (
        pairs_between(early, keys, total).unbind(2) for keys in (b, k)
    )
    reread, known = (F.pad(part[..., :-1, :], (0, 0, 1, 0)) for part in (reread, known))
    before = a * F.pad(since[..., :-1, :], (0, 0, 1, 0), value=1.0)
    solved = torch.linalg.solve_triangular(
        -reread, torch.cat([known @ v, before], -1), upper=False, unitriangular=True
    )
    entering, read, inner = [], [], state.flatten(0, 1)
    added = (k * until).mT @ v
    alone, taken = solved.split([v.shape[-1], k.shape[-1]], -1)
    each = (alone, taken, (b * until).mT, added, since[..., -1, :, None])
    for own, reader, writer, new, decay in zip(*(part.unbind() for part in each), strict=True):
        entering.append(inner)
        read.append(torch.baddbmm(own, reader, inner))
        inner = torch.baddbmm(torch.addcmul(new, decay, inner), writer, read[-1])
    y = (q * since) @ torch.stack(entering) + again @ torch.stack(read) + direct @ v
    y = y.unflatten(1, state.shape[:2]).permute(1, 0, 3, 2, 4).flatten(1, 2)
    return y[:, :length], (inner.view_as(state),)
