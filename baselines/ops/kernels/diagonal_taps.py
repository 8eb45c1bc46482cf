"""Taps of diagonal systems: two small tables from logarithms, and one matrix product of them.

As in torch, pole^(iM + j) = pole^(iM) pole^j, so all taps are a real product of weighted powers
by powers. Here each table is one launch, and so is what the tables' gradients make of them.

Axes: d channels, g sets of poles (d, or 1), k kernels of one channel, n modes, l taps, i coarse and
j fine powers, r rows (dk).
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Complex, Complex128, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.kernels import powers
from baselines.ops.kernels.first_order_scan import reals


def diagonal_taps(
    weight: Complex[Tensor, "d k n"], pole: Complex128[Tensor, "g n"], length: int, block: int
) -> Float[Tensor, "d k l"]:
    """Return the first taps, so many fine powers at a time; see `baselines.ops.ssm.diagonal`."""
    taps: Tensor = _Taps.apply(weight, pole, length, block)  # type: ignore[no-untyped-call]
    return taps


class _Taps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, pole: Tensor, length: int, block: int) -> Tensor:
        logs, weight = pole.log().contiguous(), weight.resolve_conj().contiguous()
        ctx.save_for_backward(logs, weight)
        ctx.block, ctx.count = block, triton.cdiv(max(length, 1), block)
        left, right = _tables(ctx, logs, weight)
        taps = left.flatten(2) @ right.flatten(2).squeeze(0).mT
        return taps.view(*weight.shape[:2], -1)[..., :length]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        logs, weight = ctx.saved_tensors
        left, right = _tables(ctx, logs, weight)
        channels, kernels, modes = weight.shape
        if missing := ctx.count * ctx.block - grad.shape[-1]:
            grad = F.pad(grad, (0, missing))
        grad = grad.reshape(channels, -1, ctx.block)
        grad_left = grad @ right.flatten(2).squeeze(0)
        if len(logs) == 1:
            grad, left = grad.flatten(0, 1)[None], left.flatten(0, 1)[None]
        grad_right = (grad.mT @ left.flatten(2)).unflatten(-1, (modes, 2))
        parts = _parts(logs, grad_right)
        powers.launch(powers.write_slopes, logs, grad_right, 1, reals(parts), CONJ=True)
        grad_left = grad_left.view(channels * kernels, -1, modes, 2)
        by_weight = _parts(weight.flatten(0, 1), grad_left)
        by_pole = by_weight.new_empty(by_weight.shape, dtype=logs.dtype)
        given = reals(weight), reals(by_weight), reals(by_pole)
        powers.launch(_write_left_slopes, logs, grad_left, ctx.block, *given)
        by_pole = by_pole.view(len(logs), -1, modes).sum(1)
        return by_weight.sum(1).view_as(weight), by_pole + parts.sum(1), None, None


def _tables(ctx: Any, logs: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weighted coarse powers, (d, ki, n, 2), and conjugate fine ones, (g, j, n, 2)."""
    channels, kernels, modes = weight.shape
    real = reals(weight)
    left = real.new_empty(channels * kernels, ctx.count, modes, 2)
    right = real.new_empty(len(logs), ctx.block, modes, 2)
    powers.launch(_write_left, logs, left, ctx.block, real)
    powers.launch(powers.write_powers, logs, right, 1, CONJ=True)
    return left.view(channels, -1, modes, 2), right


def _parts(like: Tensor, grad: Tensor) -> Tensor:
    """Return room for what each program adds up, (r, programs, n), of a dtype."""
    return like.new_empty(len(grad), triton.cdiv(grad.shape[1], powers.COUNT), grad.shape[2])


@triton.jit
@no_type_check
def _write_left(
    logs, left, weight, count, modes, step, shared,
    FAINT: tl.constexpr, COUNT: tl.constexpr, MODES: tl.constexpr,
):  # fmt: skip
    """Write some powers of some modes times their weights."""
    first, mode, inside, log, turns = powers.lanes(logs, modes, shared, COUNT, MODES)
    row = tl.program_id(2).to(tl.int64)
    weight += (row * modes + mode) * 2
    w_re = tl.load(weight, mask=inside, other=0.0)
    w_im = tl.load(weight + 1, mask=inside, other=0.0)
    left += ((row * count + first) * modes + mode) * 2
    for number in range(first, tl.minimum(first + COUNT, count)):
        exponent = (number * step).to(tl.float64)
        re, im = powers.power(log, turns, exponent, FAINT, left.dtype.element_ty)
        tl.store(left, re * w_re - im * w_im, mask=inside)
        tl.store(left + 1, re * w_im + im * w_re, mask=inside)
        left += modes * 2


@triton.jit
@no_type_check
def _write_left_slopes(
    logs, grad, weight, by_weight, by_pole, count, modes, step, shared,
    FAINT: tl.constexpr, COUNT: tl.constexpr, MODES: tl.constexpr,
):  # fmt: skip
    """Write what some weighted powers add to the gradients of weights and poles."""
    first, mode, inside, log, turns = powers.lanes(logs, modes, shared, COUNT, MODES)
    row = tl.program_id(2).to(tl.int64)
    weight += (row * modes + mode) * 2
    w_re = tl.load(weight, mask=inside, other=0.0)
    w_im = tl.load(weight + 1, mask=inside, other=0.0)
    grad += ((row * count + first) * modes + mode) * 2
    by_weight_re = tl.zeros((MODES,), w_re.dtype)
    by_weight_im = by_weight_re
    sum_re = tl.zeros((MODES,), tl.float64)
    sum_im = sum_re
    for number in range(first, tl.minimum(first + COUNT, count)):
        exponent = (number * step).to(tl.float64)
        g_re = tl.load(grad, mask=inside, other=0.0)
        g_im = tl.load(grad + 1, mask=inside, other=0.0)
        re, im = powers.power(log, turns, exponent, FAINT, grad.dtype.element_ty)
        by_weight_re += re * g_re + im * g_im
        by_weight_im += re * g_im - im * g_re
        before = tl.maximum(exponent - 1, 0)
        re, im = powers.power(log, turns, before, FAINT, grad.dtype.element_ty)
        p_re, p_im = re * g_re + im * g_im, re * g_im - im * g_re
        sum_re += exponent * (w_re * p_re + w_im * p_im).to(tl.float64)
        sum_im += exponent * (w_re * p_im - w_im * p_re).to(tl.float64)
        grad += modes * 2
    place = ((row * tl.num_programs(0) + tl.program_id(0)) * modes + mode) * 2
    tl.store(by_weight + place, by_weight_re, mask=inside)
    tl.store(by_weight + place + 1, by_weight_im, mask=inside)
    tl.store(by_pole + place, sum_re, mask=inside)
    tl.store(by_pole + place + 1, sum_im, mask=inside)
