"""Logarithms of decays from logits: one launch, and one for the gradients.

Programs walk through some positions of some channels, and leave what parameters' gradients are
summed of.

Axes: b batch, l length, h heads, k key features, or one that they share.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.functions import log1p, sigmoid
from baselines.ops.kernels.launch import launch, stretches

NUMBERS = 1024
"""Of a block of positions."""
CHANNELS = 64
"""Of a program at most."""
PROGRAMS = 1024
"""For the same channels at most."""


def log_decays(
    logits: Float[Tensor, "b *l h k"], dt_bias: Float[Tensor, "h k"], A_log: Float[Tensor, "h 1"]
) -> Float[Tensor, "b *l h k"]:
    """Return -exp(A_log) softplus(logits + dt_bias); see `baselines.ops.layers.delta_decay`."""
    result: Tensor = _LogDecays.apply(logits, dt_bias, A_log)  # type: ignore[no-untyped-call]
    return result


class _LogDecays(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, dt_bias: Tensor, A_log: Tensor) -> Tensor:
        given = logits.contiguous(), dt_bias.contiguous(), A_log.contiguous()
        ctx.save_for_backward(*given)
        result = dt_bias.new_empty(logits.shape)
        _launch(_write_decays, *given, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        logits, dt_bias, A_log = ctx.saved_tensors
        grad_logits = torch.empty_like(logits)
        parts = dt_bias.new_empty(2, _cut(logits, dt_bias)[3], *dt_bias.shape)
        given = logits, dt_bias, A_log, grad.contiguous(), grad_logits, parts
        _launch(_write_gradients, *given)
        by_bias, by_A = parts.sum(1).unbind()
        return grad_logits, by_bias, by_A if by_A.shape[1] == 1 else by_A.sum(1, keepdim=True)


def _cut(logits: Tensor, dt_bias: Tensor) -> tuple[int, ...]:
    """Return a program's channels, its rows at a time and in all, and how many programs there are.

    There are so many for the same channels.
    """
    channels = min(CHANNELS, triton.next_power_of_2(dt_bias.numel()))
    block = max(1, NUMBERS // channels)
    return channels, block, *stretches(logits.shape[:-2].numel(), block, PROGRAMS)


def _launch(kernel: Any, logits: Tensor, dt_bias: Tensor, A_log: Tensor, *rest: Tensor) -> None:
    """Run a kernel whose programs walk through some positions of some channels."""
    (channels, block, stretch, programs), rows = _cut(logits, dt_bias), logits.shape[:-2].numel()
    launch(
        kernel, (programs, triton.cdiv(dt_bias.numel(), channels)), logits, dt_bias, A_log, *rest,
        rows, stretch, dt_bias.numel(), dt_bias.shape[1], ROWS=block, CHANNELS=channels,
        SUMS=tl.float64 if dt_bias.dtype == torch.float64 else tl.float32, num_warps=4,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_decays(
    logits, dt_bias, A_log, result, rows, stretch, channels, shared,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    first, channel, bias, slope = _program(dt_bias, A_log, stretch, channels, shared, CHANNELS)
    for start in range(first, tl.minimum(first + stretch, rows), ROWS):
        at, inside = _places(start, rows, channels, channel, ROWS)
        z = tl.load(logits + at, mask=inside, other=0.0).to(SUMS) + bias[None, :]
        tl.store(result + at, slope[None, :] * _softplus(z), mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    logits, dt_bias, A_log, above, grad_logits, parts, rows, stretch, channels, shared,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    first, channel, bias, slope = _program(dt_bias, A_log, stretch, channels, shared, CHANNELS)
    to_bias = tl.zeros((CHANNELS,), SUMS)
    to_A = tl.zeros((CHANNELS,), SUMS)
    for start in range(first, tl.minimum(first + stretch, rows), ROWS):
        at, inside = _places(start, rows, channels, channel, ROWS)
        z = tl.load(logits + at, mask=inside, other=0.0).to(SUMS) + bias[None, :]
        grad = tl.load(above + at, mask=inside, other=0.0).to(SUMS) * slope[None, :]
        by_logit = grad * sigmoid(z)
        tl.store(grad_logits + at, by_logit, mask=inside)
        to_bias += tl.sum(by_logit, 0)
        to_A += tl.sum(grad * _softplus(z), 0)
    parts += tl.program_id(0) * channels + channel
    tl.store(parts, to_bias, mask=channel < channels)
    tl.store(parts + tl.num_programs(0) * channels, to_A, mask=channel < channels)


@triton.jit
@no_type_check
def _program(dt_bias, A_log, stretch, channels, shared, CHANNELS: tl.constexpr):
    """Return a program's first position, its channels, their biases, and -exp(A_log)."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    bias = tl.load(dt_bias + channel, mask=channel < channels, other=0.0)
    slope = -tl.exp(tl.load(A_log + channel // shared, mask=channel < channels, other=0.0))
    return tl.program_id(0) * stretch, channel, bias, slope


@triton.jit
@no_type_check
def _places(start, rows, channels, channel, ROWS: tl.constexpr):
    """Return where the channels of some positions lie, and which there are."""
    row = start + tl.arange(0, ROWS).to(tl.int64)[:, None]
    return row * channels + channel[None, :], (row < rows) & (channel < channels)[None, :]


@triton.jit
@no_type_check
def _softplus(x):
    return tl.maximum(x, 0.0) + log1p(tl.exp(-tl.abs(x)))
