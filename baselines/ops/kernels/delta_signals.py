"""Queries, keys and values of a delta layer from what it convolved: one launch, and one backwards.

Queries and keys are brought to their lengths, and all is laid where the rule reads it. All parts of
a position are groups of as many features as a head's keys: queries, keys of each step, values.
Gradients need the results, which the rule holds, and a number a group.

Axes: b batch, l length, c channels, h heads, p steps, k key features, v value features.
"""

import math
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch
from baselines.ops.layers.delta_decay import DeltaForm
from baselines.ops.layers.delta_layer import SHORTEST, Signals

NUMBERS = 2048
"""Of a program, which takes one group at several positions."""


def delta_signals(mixed: Float[Tensor, "b *l c"], form: DeltaForm) -> Signals:
    """Return queries, keys and values; see `baselines.ops.layers.delta_layer`."""
    signals: Signals = _Signals.apply(mixed, form)  # type: ignore[no-untyped-call]
    return signals


class _Signals(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mixed: Tensor, form: DeltaForm) -> Signals:
        lead, heads = mixed.shape[:-1], form.heads
        q = mixed.new_empty(*lead, heads, form.keys)
        k = mixed.new_empty(*lead, form.steps, heads, form.keys)
        v = mixed.new_empty(*lead, form.steps, heads, form.values // heads)
        factors = mixed.new_empty(*lead, mixed.shape[-1] // form.keys)
        ctx.save_for_backward(q, k, factors)
        ctx.form = form
        _launch(_write_signals, form, mixed.contiguous(), q, k, v, factors, SHORTEST=SHORTEST)
        return q, k, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        q, k, factors = ctx.saved_tensors
        each = [grad.contiguous() for grad in grads]
        grad = q.new_empty(*q.shape[:-2], sum(part.shape[q.ndim - 2 :].numel() for part in each))
        _launch(_write_gradients, ctx.form, grad, q, k, *each, factors)
        return grad, None


def _launch(
    kernel: Any, form: DeltaForm, mixed: Tensor, q: Tensor, *rest: Tensor, **constants: Any
) -> None:
    """Run a kernel whose programs take a group at some positions."""
    rows, groups = mixed.shape[:-1].numel(), mixed.shape[-1] // form.keys
    features = triton.next_power_of_2(form.keys)
    block = max(1, NUMBERS // features)
    launch(
        kernel, (triton.cdiv(rows, block), groups), mixed, q, *rest,
        rows, groups, form.heads, form.heads * form.steps, form.keys,
        LENGTH=1 / math.sqrt(form.keys), ROWS=block, KEYS=features, num_warps=4,
        SUMS=tl.float64 if q.dtype == torch.float64 else tl.float32, **constants,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_signals(
    mixed, q, k, v, factors, rows, groups, heads, several, features,
    LENGTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SUMS: tl.constexpr,
    SHORTEST: tl.constexpr,
):  # fmt: skip
    row, group, col, inside, length = _places(rows, heads, features, LENGTH, ROWS, KEYS)
    value = tl.load(mixed + (row * groups + group) * features + col, mask=inside, other=0.0)
    value = value.to(SUMS)
    factor = length / tl.sqrt(tl.sum(value * value, 1) + SHORTEST)[:, None]
    unit = value * factor
    at, in_q, in_k, in_v = _kinds(row, group, inside, heads, several, groups)
    tl.store(q + at * features + col, unit, mask=in_q)
    tl.store(k + at * features + col, unit, mask=in_k)
    tl.store(v + at * features + col, value, mask=in_v)
    factor = tl.where(group < heads + several, factor, 1.0)
    tl.store(factors + row * groups + group, factor, mask=row < rows)


@triton.jit
@no_type_check
def _write_gradients(
    grad, q, k, grad_q, grad_k, grad_v, factors, rows, groups, heads, several, features,
    LENGTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    row, group, col, inside, length = _places(rows, heads, features, LENGTH, ROWS, KEYS)
    at, in_q, in_k, in_v = _kinds(row, group, inside, heads, several, groups)
    at = at * features + col
    unit = tl.load(q + at, mask=in_q, other=0.0).to(SUMS)
    unit += tl.load(k + at, mask=in_k, other=0.0).to(SUMS)
    above = tl.load(grad_q + at, mask=in_q, other=0.0).to(SUMS)
    above += tl.load(grad_k + at, mask=in_k, other=0.0).to(SUMS)
    above += tl.load(grad_v + at, mask=in_v, other=0.0).to(SUMS)
    factor = tl.load(factors + row * groups + group, mask=row < rows, other=1.0).to(SUMS)
    along = tl.sum(above * unit, 1)[:, None] / (length * length)
    place = grad + (row * groups + group) * features + col
    tl.store(place, (above - along * unit) * factor, mask=inside)


@triton.jit
@no_type_check
def _places(rows, heads, features, LENGTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr):
    """Return a program's positions, its group, features, which there are, and the length."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    group, col = tl.program_id(1) + row * 0, tl.arange(0, KEYS)[None, :]
    return row, group, col, (row < rows) & (col < features), tl.where(group < heads, LENGTH, 1.0)


@triton.jit
@no_type_check
def _kinds(row, group, inside, heads, several, groups):
    """Return where in queries, keys or values a group lies, and in which of them it does."""
    query, unit = group < heads, group < heads + several
    first = tl.where(query, 0, tl.where(unit, heads, heads + several))
    count = tl.where(query, heads, tl.where(unit, several, groups - heads - several))
    in_q, in_v = inside & (group < heads), inside & (group >= heads + several)
    return row * count + group - first, in_q, inside & (in_q == in_v), in_v
