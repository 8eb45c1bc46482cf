"""Powers of poles, in tables and alone.

Two forms of tables: a kernel in Triton, and torch, by squaring in float64.

Axes: g sets of poles, n modes, c powers.
"""

import math
from typing import Any

import torch
from jaxtyping import Complex, Complex128
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.forms import Form, chosen, triton


def powers(
    pole: Complex128[Tensor, "g n"], count: int, dtype: torch.dtype, step: int = 1
) -> Complex[Tensor, "g c n"]:
    """Return pole^0, pole^step, pole^(2 step) and so on.

    Powers below the square root of the smallest normal number are zero: a processor multiplies
    subnormal numbers some hundred times slower, and products of two kept powers are normal.
    """
    table: Tensor = chosen(FORMS, pole).run(pole, count, dtype, step)
    return table


def squared_powers(
    pole: Complex128[Tensor, "g n"], count: int, dtype: torch.dtype, step: int = 1
) -> Complex[Tensor, "g c n"]:
    """Return the same in torch, rounded log2(count) times at most.

    The table is doubled: pole^(m + 2^k) = pole^m pole^(2^k), the second factor in float64.
    """
    table: Tensor = _Powers.apply(power(pole, step), count, dtype)  # type: ignore[no-untyped-call]
    return table


FORMS = triton("powers"), Form("squared", squared_powers)


class _Powers(torch.autograd.Function):
    """The table, whose gradient needs nothing but the table: d pole^j = j pole^(j - 1) d pole."""

    @staticmethod
    def forward(ctx: Any, pole: Tensor, count: int, dtype: torch.dtype) -> Tensor:
        steps = torch.arange(count, device=pole.device)[:, None]
        faded = steps * pole.abs().log()[:, None] < math.log(torch.finfo(dtype).tiny) / 2
        table = pole.new_empty(len(pole), count, pole.shape[1], dtype=dtype)
        table[:, :1] = 1
        done = 1
        while done < count:
            more = table[:, done : 2 * done]
            torch.mul(table[:, : more.shape[1]], pole.to(dtype)[:, None], out=more)
            pole, done = pole * pole, 2 * done
        table.masked_fill_(faded, 0)
        ctx.save_for_backward(table)
        return table

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (table,) = ctx.saved_tensors
        steps = torch.arange(1, table.shape[1], device=grad.device)[:, None]
        slopes = (grad[:, 1:] * steps).mul_(table[:, :-1].conj())
        return slopes.sum(1).to(torch.complex128), None, None


def power(pole: Complex128[Tensor, "g n"], exponent: int) -> Complex128[Tensor, "g n"]:
    """Raise to a power by squaring, which is exact at zero where a logarithm is not."""
    if exponent == 1:
        return pole
    raised = torch.ones_like(pole)
    while exponent:
        if exponent & 1:
            raised = raised * pole
        exponent >>= 1
        pole = pole * pole if exponent else pole
    return raised
