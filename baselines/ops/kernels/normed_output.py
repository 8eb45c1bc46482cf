"""Outputs of heads normed, gated and projected: a launch before a product, and one between two.

In torch the norm and the gate are a walk through memory each, and as many again and more backwards.
What is projected is made again for the gradient, so nothing is held but the arguments. A program
walks through some rows, the features of a head at a position, and sums the scale's gradient.

Axes: b batch, l length, h heads, v value features, w features of all heads, d width.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.kernels.functions import sigmoid
from baselines.ops.kernels.launch import launch, stretches
from baselines.ops.layers.matrix_layer import EPS, Activation

NUMBERS = 2048
"""Of a block of rows."""
PROGRAMS = 1024
"""At most."""


def normed_output(
    y: Float[Tensor, "b l h v"],
    gate: Float[Tensor, "b l w"] | None,
    scale: Float[Tensor, " v"],
    matrix: Float[Tensor, "d w"],
    *,
    activation: Activation,
) -> Float[Tensor, "b l d"]:
    """Norm each head, gate all and project; see `baselines.ops.layers.matrix_layer`."""
    output: Tensor = _Output.apply(y, gate, scale, matrix, activation == "silu")  # type: ignore[no-untyped-call]
    return output


class _Output(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Tensor, gate: Tensor | None, scale: Tensor, matrix: Tensor, silu: bool
    ) -> Tensor:
        y, gate = y.contiguous(), None if gate is None else gate.contiguous()
        ctx.save_for_backward(y, gate, scale, matrix)
        ctx.silu = silu
        product = scale.new_empty(*y.shape[:2], matrix.shape[1])
        _launch(_write_products, y, gate, scale, product, SILU=silu)
        return F.linear(product, matrix)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, gate, scale, matrix = ctx.saved_tensors
        above = grad @ matrix.to(grad.dtype)
        product, grad_y = torch.empty_like(above), torch.empty_like(y)
        grad_gate = None if gate is None else torch.empty_like(gate)
        sums = scale.new_empty(_cut(y)[2], len(scale))
        results = above, product, grad_y, grad_gate, sums
        _launch(_write_gradients, y, gate, scale, *results, SILU=ctx.silu)
        grad_matrix = grad.flatten(0, 1).mT @ product.flatten(0, 1)
        return grad_y, grad_gate, sums.sum(0), grad_matrix.to(matrix.dtype), None


def _cut(y: Tensor) -> tuple[int, int, int]:
    """Return the rows of a block, those of a program, and how many programs there are."""
    block = max(1, NUMBERS // triton.next_power_of_2(y.shape[-1]))
    return block, *stretches(y.shape[:-1].numel(), block, PROGRAMS)


def _launch(
    kernel: Any, y: Tensor, gate: Tensor | None, scale: Tensor, *rest: Tensor | None, SILU: bool
) -> None:
    """Run a kernel whose programs walk through some rows."""
    (block, stretch, programs), values = _cut(y), len(scale)
    launch(
        kernel, (programs,), y, gate, scale, *rest, y.shape[:-1].numel(), stretch, values,
        ROWS=block, VALUES=triton.next_power_of_2(values), num_warps=4,
        SUMS=tl.float64 if scale.dtype == torch.float64 else tl.float32, SILU=SILU, EPS=EPS,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_products(
    y, gate, scale, product, rows, stretch, values,
    SILU: tl.constexpr, EPS: tl.constexpr, ROWS: tl.constexpr, VALUES: tl.constexpr,
    SUMS: tl.constexpr,
):  # fmt: skip
    first, col = tl.program_id(0) * stretch, tl.arange(0, VALUES)
    share = tl.load(scale + col, mask=col < values, other=0.0).to(SUMS)
    for start in range(first, tl.minimum(first + stretch, rows), ROWS):
        at, inside = _places(start, rows, values, col, ROWS)
        normed, _ = _normed(y + at, inside, values, EPS, SUMS)
        result = normed * share[None, :]
        if gate is not None:
            opened, _ = _opened(gate + at, inside, SILU, SUMS)
            result *= opened
        tl.store(product + at, result, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    y, gate, scale, above, product, grad_y, grad_gate, sums, rows, stretch, values,
    SILU: tl.constexpr, EPS: tl.constexpr, ROWS: tl.constexpr, VALUES: tl.constexpr,
    SUMS: tl.constexpr,
):  # fmt: skip
    first, col = tl.program_id(0) * stretch, tl.arange(0, VALUES)
    share = tl.load(scale + col, mask=col < values, other=0.0).to(SUMS)
    total = tl.zeros((VALUES,), SUMS)
    for start in range(first, tl.minimum(first + stretch, rows), ROWS):
        at, inside = _places(start, rows, values, col, ROWS)
        normed, factor = _normed(y + at, inside, values, EPS, SUMS)
        grad = tl.load(above + at, mask=inside, other=0.0).to(SUMS)
        result = normed * share[None, :]
        if gate is not None:
            opened, slope = _opened(gate + at, inside, SILU, SUMS)
            tl.store(grad_gate + at, grad * result * slope, mask=inside)
            result *= opened
            grad *= opened
        tl.store(product + at, result, mask=inside)
        total += tl.sum(grad * normed, 0)
        grad *= share[None, :]
        along = tl.sum(grad * normed, 1) / values
        tl.store(grad_y + at, (grad - along[:, None] * normed) * factor, mask=inside)
    tl.store(sums + tl.program_id(0) * values + col, total, mask=col < values)


@triton.jit
@no_type_check
def _places(start, rows, values, col, ROWS: tl.constexpr):
    """Return where the numbers of some rows lie, and which there are."""
    row = start + tl.arange(0, ROWS).to(tl.int64)[:, None]
    return row * values + col[None, :], (row < rows) & (col < values)[None, :]


@triton.jit
@no_type_check
def _normed(y, inside, values, EPS: tl.constexpr, SUMS: tl.constexpr):
    """Return rows of a mean square of one, and what they were multiplied with."""
    value = tl.load(y, mask=inside, other=0.0).to(SUMS)
    factor = 1 / tl.sqrt(tl.sum(value * value, 1) / values + EPS)[:, None]
    return value * factor, factor


@triton.jit
@no_type_check
def _opened(gate, inside, SILU: tl.constexpr, SUMS: tl.constexpr):
    """Return what a gate multiplies with, and its slope."""
    logit = tl.load(gate, mask=inside, other=0.0).to(SUMS)
    share = sigmoid(logit)
    opened, slope = share, share * (1 - share)
    if SILU:
        opened, slope = logit * share, share + logit * slope
    return opened, slope
