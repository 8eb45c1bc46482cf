"""What drives the rule of RWKV-7: its two steps' keys, what they erase, values, and decays."""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.functions import sigmoid
from baselines.ops.kernels.head_walks import cut, launch_for_heads, program, write_sums
from baselines.ops.layers.delta_layer import SHORTEST
from baselines.ops.layers.time_mixing import STEEPEST, Parts, Weights


def drives(parts: Parts, weights: Weights) -> tuple[Tensor, ...]:
    """Return keys, values, what is erased, decays; and once more the second step's key and value.

    Two arguments of the output, whose gradients are added where those of the rule are read.
    """
    given = *parts[1:5], weights.k_k, weights.k_a, weights.r_k.shape
    result: tuple[Tensor, ...] = _Drives.apply(*given)  # type: ignore[no-untyped-call]
    return result


class _Drives(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, ...]:
        *tensors, (heads, features) = given
        tensors = [each.contiguous() for each in tensors]
        ctx.save_for_backward(*tensors)
        ctx.heads = heads
        k, gain = tensors[0], tensors[-1]
        lead = k.shape[:2]
        keys, values, erased = (gain.new_empty(*lead, 2, heads, features) for _ in range(3))
        log_decay = gain.new_empty(*lead, heads, features)
        launch_for_heads(
            _write_drives, heads, *tensors, keys, values, erased, log_decay, SHORTEST=SHORTEST,
            STEEPEST=STEEPEST,
        )  # fmt: skip
        return keys, values, erased, log_decay, keys[:, :, 1], values[:, :, 1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        below = [torch.empty_like(each) for each in tensors[:4]]
        sums = tensors[-1].new_empty(2, cut(tensors[0], ctx.heads)[2], tensors[0].shape[2])
        above = (grad.contiguous() for grad in grads)
        launch_for_heads(
            _write_gradients, ctx.heads, *tensors, *above, *below, sums,
            SHORTEST=SHORTEST, STEEPEST=STEEPEST,
        )  # fmt: skip
        return *below, *sums.sum(1).unbind(), None


@triton.jit
@no_type_check
def _write_drives(
    k, v, slow, share, k_k, k_a, keys, values, erased, log_decay,
    rows, stretch, width, features,
    ROWS: tl.constexpr, FEATURES: tl.constexpr, STEEPEST: tl.constexpr, SHORTEST: tl.constexpr,
    SUMS: tl.constexpr,
):  # fmt: skip
    first, col, lane, gain_k, gain_a = program(k_k, k_a, stretch, features, FEATURES, SUMS)
    for start in range(first, tl.minimum(first + stretch, rows), ROWS):
        row = start + tl.arange(0, ROWS).to(tl.int64)[:, None]
        at, inside = row * width + col, (row < rows) & lane
        two = at + row * width
        key, value, open_, alpha = _read(k, v, slow, share, at, inside, SUMS)
        kappa, _ = _unit(key * gain_k, SHORTEST)
        log = STEEPEST * open_
        tl.store(log_decay + at, log, mask=inside)
        tl.store(keys + two, kappa * alpha, mask=inside)
        tl.store(keys + two + width, key * (1 + (alpha - 1) * gain_a), mask=inside)
        tl.store(values + two, value * 0, mask=inside)
        tl.store(values + two + width, value, mask=inside)
        tl.store(erased + two, kappa * tl.exp(-log), mask=inside)
        tl.store(erased + two + width, kappa * 0, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    k, v, slow, share, k_k, k_a, grad_keys, grad_values, grad_erased, grad_log_decay,
    grad_replaced, grad_added, grad_k, grad_v, grad_slow, grad_share, sums,
    rows, stretch, width, features,
    ROWS: tl.constexpr, FEATURES: tl.constexpr, STEEPEST: tl.constexpr, SHORTEST: tl.constexpr,
    SUMS: tl.constexpr,
):  # fmt: skip
    first, col, lane, gain_k, gain_a = program(k_k, k_a, stretch, features, FEATURES, SUMS)
    to_k = tl.zeros((FEATURES,), SUMS)
    to_a = tl.zeros((FEATURES,), SUMS)
    for start in range(first, tl.minimum(first + stretch, rows), ROWS):
        row = start + tl.arange(0, ROWS).to(tl.int64)[:, None]
        at, inside = row * width + col, (row < rows) & lane
        two = at + row * width
        key, _, open_, alpha = _read(k, v, slow, share, at, inside, SUMS)
        kappa, factor = _unit(key * gain_k, SHORTEST)
        grown = tl.exp(-STEEPEST * open_)
        by_b = tl.load(grad_keys + two, mask=inside, other=0.0).to(SUMS)
        by_key = tl.load(grad_keys + two + width, mask=inside, other=0.0).to(SUMS)
        by_key += tl.load(grad_replaced + at, mask=inside, other=0.0).to(SUMS)
        by_erased = tl.load(grad_erased + two, mask=inside, other=0.0).to(SUMS) * grown
        by_log = tl.load(grad_log_decay + at, mask=inside, other=0.0).to(SUMS)
        by_log -= by_erased * kappa
        by_slow = by_log * STEEPEST * open_ * (1 - open_)
        by_alpha = by_b * kappa + by_key * key * gain_a
        by_share = by_alpha * alpha * (1 - alpha)
        by_kappa = by_b * alpha + by_erased
        by_kappa = (by_kappa - kappa * tl.sum(by_kappa * kappa, 1)[:, None]) * factor
        below = by_key * (1 + (alpha - 1) * gain_a) + by_kappa * gain_k
        tl.store(grad_k + at, below, mask=inside)
        above = tl.load(grad_values + two + width, mask=inside, other=0.0).to(SUMS)
        above += tl.load(grad_added + at, mask=inside, other=0.0).to(SUMS)
        tl.store(grad_v + at, above, mask=inside)
        tl.store(grad_slow + at, by_slow, mask=inside)
        tl.store(grad_share + at, by_share, mask=inside)
        to_k += tl.sum(by_kappa * key, 0)
        to_a += tl.sum(by_key * key * (alpha - 1), 0)
    write_sums(sums, 0, to_k, width, features, FEATURES)
    write_sums(sums, 1, to_a, width, features, FEATURES)


@triton.jit
@no_type_check
def _read(k, v, slow, share, at, inside, SUMS: tl.constexpr):
    """Return keys, values, and the sigmoids of decays and of what is replaced."""
    key = tl.load(k + at, mask=inside, other=0.0).to(SUMS)
    value = tl.load(v + at, mask=inside, other=0.0).to(SUMS)
    open_ = sigmoid(tl.load(slow + at, mask=inside, other=0.0).to(SUMS))
    return key, value, open_, sigmoid(tl.load(share + at, mask=inside, other=0.0).to(SUMS))


@triton.jit
@no_type_check
def _unit(x, SHORTEST: tl.constexpr):
    """Return rows of length one, and what they were multiplied with."""
    factor = 1 / tl.sqrt(tl.sum(x * x, 1) + SHORTEST)[:, None]
    return x * factor, factor
