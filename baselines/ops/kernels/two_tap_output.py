"""What Mamba-3 reads of its scan: without what its own position adds only later, and with D x.

Axes: b batch, l length, h heads, p features of each, n state.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch

NUMBERS = 2048
"""Of a program, which takes whole heads."""

Features = Float[Tensor, "b l h p"]
Rows = Float[Tensor, "b l h n"]


def output(
    y: Features, x: Features, B: Rows, C: Rows, later: Float[Tensor, "b l h"], D: Tensor
) -> Features:
    """Return y + (D - later (C . B)) x."""
    result: Tensor = _Output.apply(y, x, B, C, later, D)  # type: ignore[no-untyped-call]
    return result


class _Output(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, *given: Tensor) -> Tensor:
        ctx.save_for_backward(*given)
        result = torch.empty_like(y, memory_format=torch.contiguous_format)
        _launch(_write_outputs, *given, y.contiguous(), result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        grad, given = grad.contiguous(), ctx.saved_tensors
        below = [
            torch.empty(part.shape, dtype=part.dtype, device=part.device) for part in given[:4]
        ]
        shares = torch.empty_like(below[3])
        _launch(_write_gradients, *given, grad, *below, shares)
        return grad, *below, shares.sum((0, 1))


def _launch(kernel: Any, x: Tensor, B: Tensor, C: Tensor, later: Tensor, *rest: Tensor) -> None:
    """Run a kernel over all heads of all positions; those of x may lie apart."""
    features, states = x.shape[-1], B.shape[-1]
    sizes = triton.next_power_of_2(features), triton.next_power_of_2(states)
    block = max(1, NUMBERS // max(sizes))
    x = x if x.stride()[2:] == (features, 1) else x.contiguous()
    given = x, B.contiguous(), C.contiguous(), later.contiguous(), *rest
    launch(
        kernel, (triton.cdiv(later.numel(), block),), *given, later.numel(), later.shape[1],
        later.shape[2], features, states, x.stride(0), x.stride(1), ROWS=block, FEATURES=sizes[0],
        STATES=sizes[1], num_warps=4, SUMS=tl.float64 if B.dtype == torch.float64 else tl.float32,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_outputs(
    x, B, C, later, D, y, result, rows, length, heads, features, states, x_batch, x_row,
    ROWS: tl.constexpr, FEATURES: tl.constexpr, STATES: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    row, at, inside, _, _, value, _, _, met = _read(
        x, B, C, rows, length, heads, features, states, x_batch, x_row,
        ROWS, FEATURES, STATES, SUMS,
    )  # fmt: skip
    share, _ = _share(later, D, row, rows, heads, met, SUMS)
    total = tl.load(y + at, mask=inside, other=0.0).to(SUMS)
    tl.store(result + at, total + share * value, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    x, B, C, later, D, above, grad_x, grad_B, grad_C, grad_later, shares,
    rows, length, heads, features, states, x_batch, x_row,
    ROWS: tl.constexpr, FEATURES: tl.constexpr, STATES: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    row, at, inside, place, there, value, left, right, met = _read(
        x, B, C, rows, length, heads, features, states, x_batch, x_row,
        ROWS, FEATURES, STATES, SUMS,
    )  # fmt: skip
    share, weight = _share(later, D, row, rows, heads, met, SUMS)
    grad = tl.load(above + at, mask=inside, other=0.0).to(SUMS)
    tl.store(grad_x + at, grad * share, mask=inside)
    by_share = tl.sum(grad * value, 1)[:, None]
    tl.store(grad_B + place, -by_share * weight * right, mask=there)
    tl.store(grad_C + place, -by_share * weight * left, mask=there)
    tl.store(grad_later + row, -by_share * met, mask=row < rows)
    tl.store(shares + row, by_share, mask=row < rows)


@triton.jit
@no_type_check
def _read(
    x, B, C, rows, length, heads, features, states, x_batch, x_row,
    ROWS: tl.constexpr, FEATURES: tl.constexpr, STATES: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Return a program's heads, where their numbers lie, x, B, C, and the products of these."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    col, state = tl.arange(0, FEATURES)[None, :], tl.arange(0, STATES)[None, :]
    inside, there = (row < rows) & (col < features), (row < rows) & (state < states)
    position = row // heads
    x += position // length * x_batch + position % length * x_row + row % heads * features
    value = tl.load(x + col, mask=inside, other=0.0).to(SUMS)
    place = row * states + state
    left = tl.load(B + place, mask=there, other=0.0).to(SUMS)
    right = tl.load(C + place, mask=there, other=0.0).to(SUMS)
    met = tl.sum(left * right, 1)[:, None]
    return row, row * features + col, inside, place, there, value, left, right, met


@triton.jit
@no_type_check
def _share(later, D, row, rows, heads, met, SUMS: tl.constexpr):
    """Return the share of x in outputs, and the weight of what is not yet seen."""
    weight = tl.load(later + row, mask=row < rows, other=0.0).to(SUMS)
    return tl.load(D + row % heads).to(SUMS) - weight * met, weight
