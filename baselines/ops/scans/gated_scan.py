"""The elementwise gated recurrence h_t = a_t h_{t-1} + b_t, forwards or backwards in time.

Two forms: a kernel in Triton, and torch, by segments. Gates lie in [0, 1], so a product of gates
never overflows; nothing is ever divided by one, since it may well be zero. Axes: b batch, l length,
d channels.
"""

from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.forms import Form, chosen, triton

BLOCK = 16
"""Positions of a block, taken in all blocks at once; longer products of gates turn subnormal."""
SEGMENT = 1 << 20
"""Numbers of a segment, few enough that its gates, states and products stay in the cache."""


def gated_scan(
    a: Float[Tensor, "b l d"],
    b: Float[Tensor, "b l d"],
    initial: Float[Tensor, "b d"],
    *,
    reverse: bool = False,
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d"]]:
    """Return all states and the last one, the first position's in reverse.

    Computes in float32 at least; forward and backward keep O(b l d) numbers.

    Args:
        a: Gates in [0, 1].
        b: What each position adds.
        initial: The state before the first position, after the last one in reverse.
        reverse: h_t = a_t h_{t+1} + b_t instead.
    """
    if not b.shape[1]:
        return b, initial
    scanned: tuple[Tensor, Tensor] = chosen(FORMS, b).run(a, b, initial, reverse=reverse)
    return scanned


def segmented_gated_scan(
    a: Float[Tensor, "b l d"],
    b: Float[Tensor, "b l d"],
    initial: Float[Tensor, "b d"],
    *,
    reverse: bool = False,
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d"]]:
    """Scan in torch, one cache's worth of positions after the other.

    Blocks of positions run side by side from zero, their ends are a shorter recurrence of
    the same kind, and what enters a block then reaches its positions through the products of their
    gates.
    """
    dtype = torch.promote_types(b.dtype, torch.float32)
    states: Tensor = _GatedScan.apply(a.to(dtype), b.to(dtype), initial.to(dtype), reverse)  # type: ignore[no-untyped-call]
    # A copy, since a view would keep all states alive as long as the last one is needed.
    last = states[:, 0 if reverse else -1].to(initial.dtype, copy=True)
    return states.to(b.dtype), last


def naive_gated_scan(
    a: Float[Tensor, "b l d"],
    b: Float[Tensor, "b l d"],
    initial: Float[Tensor, "b d"],
    *,
    reverse: bool = False,
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d"]]:
    """Take the positions one by one, the twin of the other forms."""
    state, states = initial, [*b.unbind(1)]
    for position in _order(a.shape[1], reverse):
        state = a[:, position] * state + b[:, position]
        states[position] = state
    return torch.stack(states, 1) if states else b, state


FORMS = triton("first_order_scan"), Form("torch", segmented_gated_scan)


class _GatedScan(torch.autograd.Function):
    """The scan; its gradient is the scan in the other direction."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
        states = b.clone(memory_format=torch.contiguous_format)
        _scan_segments(a, states, initial, reverse)
        ctx.save_for_backward(a, states, initial)
        ctx.reverse = reverse
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, states, initial = ctx.saved_tensors
        # A state reaches its successor in time through the successor's gate.
        past, future = slice(None, -1), slice(1, None)
        first, last = 0, -1
        if ctx.reverse:
            past, future, first, last = future, past, last, first
        db = grad.clone(memory_format=torch.contiguous_format)
        _scan_segments(a[:, future], db[:, past], db[:, last], not ctx.reverse)
        da = torch.empty_like(db)
        torch.mul(db[:, future], states[:, past], out=da[:, future])
        torch.mul(db[:, first], initial, out=da[:, first])
        return da, db, a[:, first] * db[:, first], None


def _scan_segments(a: Tensor, h: Tensor, state: Tensor, reverse: bool) -> None:
    """Turn `h` from what is added into the states, one cache's worth after the other."""
    rows = max(BLOCK, SEGMENT // max(1, h.shape[0] * h.shape[2]) // BLOCK * BLOCK)
    segments = list(zip(a.split(rows, 1), h.split(rows, 1), strict=True))
    for gates, states in reversed(segments) if reverse else segments:
        state = _scan_blocks(gates, states, state, reverse)


def _scan_blocks(a: Tensor, h: Tensor, state: Tensor, reverse: bool) -> Tensor:
    """Do the same for one segment, and return the last state in time."""
    length = a.shape[1]
    if length < 2 * BLOCK:
        for now in _order(length, reverse):
            state = h[:, now].addcmul_(a[:, now], state)
        return state
    blocks, rest = divmod(length, BLOCK)
    cut = rest if reverse else length - rest
    sides = (slice(cut, None), slice(cut)) if reverse else (slice(cut), slice(cut, None))
    gates, states = (x[:, sides[0]].unflatten(1, (blocks, BLOCK)) for x in (a, h))
    order = _order(BLOCK, reverse)
    products = torch.empty_like(gates)
    products[:, :, order[0]] = gates[:, :, order[0]]
    for before, now in pairwise(order):
        states[:, :, now].addcmul_(gates[:, :, now], states[:, :, before])
        torch.mul(gates[:, :, now], products[:, :, before], out=products[:, :, now])
    ends = states[:, :, order[-1]].clone()
    last = _scan_blocks(products[:, :, order[-1]], ends, state, reverse)
    state = state[:, None]
    entering = (ends[:, 1:], state) if reverse else (state, ends[:, :-1])
    states.addcmul_(products, torch.cat(entering, 1)[:, :, None])
    return _scan_blocks(a[:, sides[1]], h[:, sides[1]], last, reverse)


def _order(count: int, reverse: bool) -> range:
    return range(count - 1, -1, -1) if reverse else range(count)
