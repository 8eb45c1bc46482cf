"""Random features of attention: a launch behind the product with directions, and one backwards.

The largest exponent of a vector carries no gradient, so that of its features is theirs times
themselves, and |x|^2/2 gets the sum.

Axes: n vectors, f random features, e features of a head.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.attention.random_features import Mapped
from baselines.ops.kernels.launch import launch

NUMBERS = 2048
"""Of a program, which takes whole vectors."""


def random_features(
    x: Float[Tensor, "*b e"], directions: Float[Tensor, "f e"], *, keys: bool
) -> Mapped:
    """Map vectors; see `baselines.ops.attention.random_features`."""
    feature, largest = _Features.apply(x.flatten(0, -2), directions, keys)  # type: ignore[no-untyped-call]
    return feature.unflatten(0, x.shape[:-1]), largest.view(x.shape[:-1])


class _Features(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, directions: Tensor, keys: bool) -> tuple[Tensor, Tensor]:
        feature = x @ directions.mT
        largest = x.new_empty(len(x))
        _launch(_write_features, keys, x, feature, largest)
        ctx.save_for_backward(x, directions, feature)
        ctx.keys = keys
        ctx.mark_non_differentiable(largest)
        ctx.set_materialize_grads(False)
        return feature, largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor, None, None]:
        x, directions, feature = ctx.saved_tensors
        by_product, of_norm = torch.empty_like(feature), torch.empty_like(x)
        _launch(_write_gradients, ctx.keys, x, feature, grad.contiguous(), by_product, of_norm)
        if ctx.keys:
            return of_norm.addmm_(by_product, directions), None, None
        return by_product @ directions, None, None


def _launch(kernel: Any, keys: bool, x: Tensor, feature: Tensor, *rest: Tensor) -> None:
    """Run a kernel over all vectors."""
    count, size = feature.shape[1], x.shape[1]
    lanes = triton.next_power_of_2(count), triton.next_power_of_2(size)
    block = max(1, NUMBERS // max(lanes))
    launch(
        kernel, (triton.cdiv(len(x), block),), x.contiguous(), feature, *rest, len(x), count, size,
        ROWS=block, COUNT=lanes[0], SIZE=lanes[1], KEYS=keys, SCALE=size**-0.25, num_warps=4,
        SUMS=tl.float64 if x.dtype == torch.float64 else tl.float32,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_features(
    x, feature, largest, rows, count, size,
    ROWS: tl.constexpr, COUNT: tl.constexpr, SIZE: tl.constexpr, KEYS: tl.constexpr,
    SCALE: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Write features where the products with directions are."""
    row, at, inside = _places(rows, count, ROWS, COUNT)
    product = tl.load(feature + at, mask=inside, other=float("-inf")).to(SUMS)
    most = tl.max(product, 1)[:, None]
    most = tl.where(row < rows, most, 0.0)
    tl.store(feature + at, tl.exp((product - most) * SCALE), mask=inside)
    most *= SCALE
    if KEYS:
        _, at, inside = _places(rows, size, ROWS, SIZE)
        value = tl.load(x + at, mask=inside, other=0.0).to(SUMS) * SCALE
        most -= tl.sum(value * value, 1)[:, None] / 2
    tl.store(largest + row, most, mask=row < rows)


@triton.jit
@no_type_check
def _write_gradients(
    x, feature, above, by_product, of_norm, rows, count, size,
    ROWS: tl.constexpr, COUNT: tl.constexpr, SIZE: tl.constexpr, KEYS: tl.constexpr,
    SCALE: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of products with directions, and what comes to x by its own size."""
    _, at, inside = _places(rows, count, ROWS, COUNT)
    by_exponent = tl.load(above + at, mask=inside, other=0.0).to(SUMS)
    by_exponent *= tl.load(feature + at, mask=inside, other=0.0).to(SUMS)
    tl.store(by_product + at, by_exponent * SCALE, mask=inside)
    if KEYS:
        total = tl.sum(by_exponent, 1)[:, None]
        _, at, inside = _places(rows, size, ROWS, SIZE)
        value = tl.load(x + at, mask=inside, other=0.0).to(SUMS)
        tl.store(of_norm + at, -total * value * SCALE * SCALE, mask=inside)


@triton.jit
@no_type_check
def _places(rows, width, ROWS: tl.constexpr, LANES: tl.constexpr):
    """Return a program's rows, where their numbers lie, and which there are."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    col = tl.arange(0, LANES)[None, :]
    return row, row * width + col, (row < rows) & (col < width)
