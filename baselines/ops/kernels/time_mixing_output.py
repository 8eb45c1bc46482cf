"""What RWKV-7 reads of its rule: heads normed, the own value added, and all gated."""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.head_walks import cut, launch_for_heads, program, write_sums
from baselines.ops.layers.time_mixing import Weights


def output(
    y: Tensor, r: Tensor, replaced: Tensor, added: Tensor, gate: Tensor, weights: Weights
) -> Tensor:
    """Return what is projected, from (b, l, h, e) outputs, queries, and the own key and value."""
    given = y, r, replaced, added, gate, weights.scale, weights.bias, weights.r_k, weights.eps
    result: Tensor = _Output.apply(*given)  # type: ignore[no-untyped-call]
    return result


class _Output(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        y, r, replaced, added, gate, scale, bias, r_k, eps = given
        tensors = gate.contiguous(), y.contiguous(), r.contiguous(), replaced, added
        ctx.save_for_backward(*tensors, scale, bias, r_k)
        ctx.eps = eps
        product: Tensor = scale.new_empty(gate.shape)
        launch_for_heads(_write_products, len(r_k), *tensors, scale, bias, r_k, product, EPS=eps)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, scale, bias, r_k = ctx.saved_tensors
        below = [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in tensors]
        sums = scale.new_empty(3, cut(tensors[0], len(r_k))[2], len(scale))
        launch_for_heads(
            _write_gradients, len(r_k), *tensors, scale, bias, r_k, grad.contiguous(),
            *below, sums, EPS=ctx.eps,
        )  # fmt: skip
        by_scale, by_bias, by_r_k = sums.sum(1).unbind()
        grad_gate, *others = below
        return *others, grad_gate, by_scale, by_bias, by_r_k.view_as(r_k), None


@triton.jit
@no_type_check
def _write_products(
    gate, y, r, replaced, added, scale, bias, r_k, product, rows, stretch, width, features,
    ROWS: tl.constexpr, FEATURES: tl.constexpr, EPS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    first, col, lane, gain, own = program(scale, r_k, stretch, features, FEATURES, SUMS)
    shift = tl.load(bias + col, mask=lane, other=0.0).to(SUMS)
    for start in range(first, tl.minimum(first + stretch, rows), ROWS):
        row = start + tl.arange(0, ROWS).to(tl.int64)[:, None]
        at, inside = row * width + col, (row < rows) & lane
        normed, _ = _normed(y + at, inside, lane, features, EPS, SUMS)
        read = tl.load(r + at, mask=inside, other=0.0).to(SUMS)
        key = tl.load(replaced + at + row * width, mask=inside, other=0.0).to(SUMS)
        value = tl.load(added + at + row * width, mask=inside, other=0.0).to(SUMS)
        opened = tl.load(gate + at, mask=inside, other=0.0).to(SUMS)
        met = tl.sum(read * key * own, 1)[:, None]
        tl.store(product + at, (normed * gain + shift + met * value) * opened, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    gate, y, r, replaced, added, scale, bias, r_k, above, grad_gate, grad_y, grad_r,
    grad_replaced, grad_added, sums, rows, stretch, width, features,
    ROWS: tl.constexpr, FEATURES: tl.constexpr, EPS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    first, col, lane, gain, own = program(scale, r_k, stretch, features, FEATURES, SUMS)
    shift = tl.load(bias + col, mask=lane, other=0.0).to(SUMS)
    to_gain = tl.zeros((FEATURES,), SUMS)
    to_shift = tl.zeros((FEATURES,), SUMS)
    to_own = tl.zeros((FEATURES,), SUMS)
    for start in range(first, tl.minimum(first + stretch, rows), ROWS):
        row = start + tl.arange(0, ROWS).to(tl.int64)[:, None]
        at, inside = row * width + col, (row < rows) & lane
        normed, factor = _normed(y + at, inside, lane, features, EPS, SUMS)
        read = tl.load(r + at, mask=inside, other=0.0).to(SUMS)
        key = tl.load(replaced + at + row * width, mask=inside, other=0.0).to(SUMS)
        value = tl.load(added + at + row * width, mask=inside, other=0.0).to(SUMS)
        met = tl.sum(read * key * own, 1)[:, None]
        grad = tl.load(above + at, mask=inside, other=0.0).to(SUMS)
        tl.store(grad_gate + at, grad * (normed * gain + shift + met * value), mask=inside)
        grad *= tl.load(gate + at, mask=inside, other=0.0).to(SUMS)
        tl.store(grad_added + at, grad * met, mask=inside)
        by_met = tl.sum(grad * value, 1)[:, None]
        tl.store(grad_r + at, by_met * key * own, mask=inside)
        tl.store(grad_replaced + at, by_met * read * own, mask=inside)
        to_own += tl.sum(by_met * read * key, 0)
        to_gain += tl.sum(grad * normed, 0)
        to_shift += tl.sum(grad, 0)
        grad *= gain
        mean = tl.sum(grad, 1)[:, None] / features
        along = tl.sum(grad * normed, 1)[:, None] / features
        tl.store(grad_y + at, (grad - mean - along * normed) * factor, mask=inside)
    write_sums(sums, 0, to_gain, width, features, FEATURES)
    write_sums(sums, 1, to_shift, width, features, FEATURES)
    write_sums(sums, 2, to_own, width, features, FEATURES)


@triton.jit
@no_type_check
def _normed(y, inside, lane, features, EPS: tl.constexpr, SUMS: tl.constexpr):
    """Return rows of mean zero and variance one, and what they were multiplied with."""
    value = tl.load(y, mask=inside, other=0.0).to(SUMS)
    value = tl.where(lane, value - tl.sum(value, 1)[:, None] / features, 0.0)
    factor = 1 / tl.sqrt(tl.sum(value * value, 1) / features + EPS)[:, None]
    return value * factor, factor
