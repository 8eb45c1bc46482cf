"""What is read of a memory, divided by the sum of weights beside it: one launch each way.

Axes: p heads at positions of sequences; w = v + 1 value features and the normaliser.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch

NUMBERS = 2048
"""Outputs of a program, which takes those of whole heads."""


def divided(
    y: Float[Tensor, "*p w"], most: Float64[Tensor, "*p"] | None = None
) -> Float[Tensor, "*p v"]:
    """Return values divided by the normaliser.

    Args:
        y: Values and, last, the normaliser.
        most: Logarithms of which the exponentials of the negatives are the least divisors in size;
            where there are none, the normaliser is positive, or one where it vanishes.
    """
    result: Tensor = _Divided.apply(y, most)  # type: ignore[no-untyped-call]
    return result


class _Divided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, most: Tensor | None) -> Tensor:
        y = y.contiguous()
        ctx.save_for_backward(y, most)
        result = y.new_empty(*y.shape[:-1], y.shape[-1] - 1)
        _launch(_write_divided, y, most, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        y, most = ctx.saved_tensors
        grad_y = torch.empty_like(y)
        _launch(_write_gradients_of_divided, y, most, grad.contiguous(), grad_y)
        return grad_y, None


def _launch(kernel: Any, y: Tensor, most: Tensor | None, *given: Tensor) -> None:
    """Run a kernel over the outputs of all heads at all positions."""
    rows, values = y[..., 0].numel(), y.shape[-1] - 1
    features = triton.next_power_of_2(values)
    block = max(1, NUMBERS // features)
    launch(
        kernel, (triton.cdiv(rows, block),), y, most, *given, rows, values,
        ROWS=block, VALUES=features, TINY=torch.finfo(y.dtype).tiny, num_warps=4,
        SUMS=tl.float64 if y.dtype == torch.float64 else tl.float32,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_divided(
    y, most, result, rows, values,
    ROWS: tl.constexpr, VALUES: tl.constexpr, TINY: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    row, col, inside = _places(rows, values, ROWS, VALUES)
    _, divisor, _ = _divisor(y, most, row, rows, values, TINY, SUMS)
    value = tl.load(y + row * (values + 1) + col, mask=inside, other=0.0).to(SUMS)
    tl.store(result + row * values + col, value / divisor, mask=inside)


@triton.jit
@no_type_check
def _write_gradients_of_divided(
    y, most, grad, grad_y, rows, values,
    ROWS: tl.constexpr, VALUES: tl.constexpr, TINY: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    row, col, inside = _places(rows, values, ROWS, VALUES)
    total, divisor, counts = _divisor(y, most, row, rows, values, TINY, SUMS)
    place = row * (values + 1) + col
    value = tl.load(y + place, mask=inside, other=0.0).to(SUMS) / divisor
    above = tl.load(grad + row * values + col, mask=inside, other=0.0).to(SUMS) / divisor
    tl.store(grad_y + place, above, mask=inside)
    by_divisor = -tl.sum(above * value, 1)[:, None]
    by_total = tl.where(counts, tl.where(total < 0, -by_divisor, by_divisor), 0.0)
    tl.store(grad_y + row * (values + 1) + values, by_total, mask=row < rows)


@triton.jit
@no_type_check
def _places(rows, values, ROWS: tl.constexpr, VALUES: tl.constexpr):
    """Return a program's rows, the features, and which there are."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    col = tl.arange(0, VALUES)[None, :]
    return row, col, (row < rows) & (col < values)


@triton.jit
@no_type_check
def _divisor(y, most, row, rows, values, TINY: tl.constexpr, SUMS: tl.constexpr):
    """Return normalisers, what is divided by, and where that is the normaliser."""
    total = tl.load(y + row * (values + 1) + values, mask=row < rows, other=1.0).to(SUMS)
    if most is not None:
        least = tl.exp(-tl.load(most + row, mask=row < rows, other=0.0).to(SUMS))
        least = tl.maximum(least, TINY)
        divisor, counts = tl.maximum(tl.abs(total), least), tl.abs(total) > least
    else:
        counts = total >= TINY
        divisor = tl.where(counts, total, 1.0)
    return total, divisor, counts
