"""A level of dilated convolutions around one product: its taps laid side by side, the branch added.

In torch each tap is a product and each a sum over all positions. What is laid side by side is made
again for the gradient, so input and product are all that is held.

Axes: b batch, l length, d width, k taps.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.kernels.launch import launch, of_products

NUMBERS = 1024
"""Of a program."""


def dilated_level(
    u: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d kd"],
    bias: Float[Tensor, " d"],
    dilation: int,
    before: int,
) -> Float[Tensor, "b l d"]:
    """Return u and the ReLU of its convolution; see `baselines.ops.convolution.dilated`."""
    y: Tensor = _Level.apply(u, weight, bias, dilation, before)  # type: ignore[no-untyped-call]
    return y


class _Level(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u: Tensor, weight: Tensor, bias: Tensor, dilation: int, before: int
    ) -> Tensor:
        u = u.contiguous()
        ctx.reach, ctx.dtype = (weight.shape[1] // u.shape[2], dilation, before), of_products(u)
        mapped = F.linear(_beside(u, ctx.dtype, ctx.reach), weight, bias)
        y = torch.empty_like(u, dtype=torch.promote_types(u.dtype, mapped.dtype))
        _launch_flat(_write_added, mapped, u, y)
        ctx.save_for_backward(u, weight, mapped)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, weight, mapped = ctx.saved_tensors
        grad, above = grad.contiguous(), torch.empty_like(mapped)
        _launch_flat(_write_opened, mapped, grad, above)
        taps = _beside(u, ctx.dtype, ctx.reach)
        by_weight = above.flatten(0, 1).mT @ taps.flatten(0, 1).to(above.dtype)
        by_taps, grad_u = above @ weight.to(above.dtype), torch.empty_like(u)
        _launch(_write_gradients, u.shape, ctx.reach, grad, by_taps, grad_u)
        by_bias = above.sum((0, 1), dtype=weight.dtype)
        return grad_u, by_weight.to(weight.dtype), by_bias, None, None


def _beside(u: Tensor, dtype: torch.dtype, reach: tuple[int, int, int]) -> Float[Tensor, "b l kd"]:
    """Return what the taps of each position see."""
    batch, length, width = u.shape
    taps = u.new_empty(batch, length, reach[0] * width, dtype=dtype)
    _launch(_write_beside, u.shape, reach, u, taps)
    return taps


def _sums(u: Tensor) -> Any:
    return tl.float64 if u.dtype == torch.float64 else tl.float32


def _launch_flat(kernel: Any, mapped: Tensor, other: Tensor, result: Tensor) -> None:
    """Run a kernel number by number."""
    grid, given = (triton.cdiv(result.numel(), NUMBERS),), (mapped, other, result, result.numel())
    launch(kernel, grid, *given, SIZE=NUMBERS, SUMS=_sums(other), num_warps=4)


def _launch(kernel: Any, shape: torch.Size, reach: tuple[int, int, int], *given: Tensor) -> None:
    """Run a kernel over all numbers of the input."""
    (taps, dilation, before), count = reach, shape.numel()
    sizes = count, shape[1], shape[2], dilation, before
    grid = (triton.cdiv(count, NUMBERS),)
    constants = {"TAPS": taps, "SIZE": NUMBERS, "SUMS": _sums(given[0])}
    launch(kernel, grid, *given, *sizes, num_warps=4, **constants)


@triton.jit
@no_type_check
def _write_beside(
    u, taps, count, length, width, dilation, before,
    TAPS: tl.constexpr, SIZE: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    row, position = at // width, at // width % length
    place = taps + row * TAPS * width + at % width
    for tap in tl.static_range(TAPS):
        away = tap * dilation - before
        seen = (at < count) & (position + away >= 0) & (position + away < length)
        value = tl.load(u + at + away * width, mask=seen, other=0.0).to(SUMS)
        tl.store(place + tap * width, value, mask=at < count)


@triton.jit
@no_type_check
def _write_added(mapped, u, y, count, SIZE: tl.constexpr, SUMS: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    branch = tl.maximum(tl.load(mapped + at, mask=at < count, other=0.0).to(SUMS), 0.0)
    around = tl.load(u + at, mask=at < count, other=0.0).to(SUMS)
    tl.store(y + at, around + branch, mask=at < count)


@triton.jit
@no_type_check
def _write_opened(mapped, grad, above, count, SIZE: tl.constexpr, SUMS: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    opened = tl.load(mapped + at, mask=at < count, other=0.0).to(SUMS) > 0
    tl.store(above + at, tl.load(grad + at, mask=(at < count) & opened, other=0.0), mask=at < count)


@triton.jit
@no_type_check
def _write_gradients(
    grad, by_taps, grad_u, count, length, width, dilation, before,
    TAPS: tl.constexpr, SIZE: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Write what comes around the branch, and from each position that sees this one."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    row, position = at // width, at // width % length
    total = tl.load(grad + at, mask=at < count, other=0.0).to(SUMS)
    for tap in tl.static_range(TAPS):
        away = before - tap * dilation
        seen = (at < count) & (position + away >= 0) & (position + away < length)
        place = by_taps + ((row + away) * TAPS + tap) * width + at % width
        total += tl.load(place, mask=seen, other=0.0).to(SUMS)
    tl.store(grad_u + at, total, mask=at < count)
