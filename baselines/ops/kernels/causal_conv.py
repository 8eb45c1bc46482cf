"""A short causal convolution, each channel with its own few taps, and SiLU: one launch each way.

A program takes some channels of a stretch of time, block by block. It reads an input once for every
tap, all but the first time from a cache. Backwards, what SiLU saw is computed again where it is
needed, so nothing is held but the arguments; each program sums the gradients of taps and bias over
its stretch, and there are few enough stretches that torch then sums them in no time.

Inputs before the first are rows before zero, whose gradients are those of the state.

Axes: b batch, l length, d channels, k taps.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch, stretches

CHANNELS = 32
"""Of a program: one warp, which reads 128 bytes of a position at once."""
ROWS = 8
"""Positions of a block."""
STRETCHES = 256
"""How many there are of a sequence at most."""


def causal_conv(
    x: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d k"],
    bias: Float[Tensor, " d"] | None = None,
    state: Float[Tensor, "b k-1 d"] | None = None,
    *,
    silu: bool = False,
) -> Float[Tensor, "b l d"]:
    """Convolve along time; see `baselines.ops.convolution.causal_conv`.

    Inputs may lie in any order and be less precise than the weights, whose precision outputs have.
    Sums are float32 unless the weights are double.
    """
    y: Tensor = _CausalConv.apply(x, weight, bias, state, silu)  # type: ignore[no-untyped-call]
    return y


class _CausalConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None, silu: bool
    ) -> Tensor:
        state = None if state is None else state.contiguous()
        ctx.save_for_backward(x, weight, bias, state)
        ctx.silu = silu
        y = x.new_empty(x.shape, dtype=weight.dtype)
        _run(_write_outputs, x.shape[1], x, weight, bias, state, silu, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, state = ctx.saved_tensors
        batch, length, channels = x.shape
        taps = weight.shape[1]
        grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        grad_state = None if state is None else torch.empty_like(state)
        rows = length + taps - 1
        sums = grad.new_empty(batch, stretches(rows, ROWS, STRETCHES)[1], taps + 1, channels)
        results = grad.contiguous(), grad_x, grad_state, sums
        kinds = triton.next_power_of_2(taps + 1)
        _run(_write_gradients, rows, x, weight, bias, state, ctx.silu, *results, KINDS=kinds)
        whole = sums.sum((0, 1))
        grad_bias = None if bias is None else whole[taps]
        return grad_x, whole[:taps].mT, grad_bias, grad_state, None


def _run(
    kernel: Any,
    rows: int,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    state: Tensor | None,
    silu: bool,
    *results: Tensor | None,
    **constants: Any,
) -> None:
    """Run a kernel whose programs take some channels of a stretch of rows."""
    batch, length, channels = x.shape
    stretch, count = stretches(rows, ROWS, STRETCHES)
    launch(
        kernel, (count, triton.cdiv(channels, CHANNELS), batch),
        x, weight, bias, state, length, channels, stretch, *x.stride(), *weight.stride(), *results,
        TAPS=weight.shape[1], SILU=silu, ROWS=ROWS, CHANNELS=CHANNELS, num_warps=1,
        SUMS=tl.float64 if weight.dtype == torch.float64 else tl.float32, **constants,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_outputs(
    x, weight, bias, state, length, channels, stretch,
    x_batch, x_row, x_channel, w_channel, w_tap, y,
    TAPS: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
    SUMS: tl.constexpr,
):  # fmt: skip
    first, channel, batch = _place(stretch, CHANNELS)
    x, weight, bias, state = _moved(
        x, weight, bias, state, batch, channel, channels, x_batch, x_channel, w_channel, TAPS
    )
    y += batch * length * channels + channel
    for start in range(first, tl.minimum(first + stretch, length), ROWS):
        row = start + tl.arange(0, ROWS).to(tl.int64)[:, None]
        inside = (row < length) & (channel < channels)
        sums = _convolved(
            x, weight, bias, state, row, inside, channel < channels, channels, x_row, w_tap,
            TAPS, SUMS,
        )  # fmt: skip
        if SILU:
            sums *= _sigmoid(sums)
        tl.store(y + row * channels, sums, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    x, weight, bias, state, length, channels, stretch,
    x_batch, x_row, x_channel, w_channel, w_tap, grad_y, grad_x, grad_state, grad_taps,
    TAPS: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
    KINDS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of a stretch of inputs, and what they add to those of taps and bias.

    Rows of `grad_taps` are the taps, and then the bias. An input meets a tap in the output that
    lies as many rows later as the tap looks back.
    """
    first, channel, batch = _place(stretch, CHANNELS)
    lane = channel < channels
    x, weight, bias, state = _moved(
        x, weight, bias, state, batch, channel, channels, x_batch, x_channel, w_channel, TAPS
    )
    grad_y += batch * length * channels + channel
    grad_x += batch * length * channels + channel
    kind = tl.arange(0, KINDS)[:, None]
    sums = tl.zeros((KINDS, CHANNELS), SUMS)
    for start in range(first, tl.minimum(first + stretch, length + TAPS - 1), ROWS):
        row = start - (TAPS - 1) + tl.arange(0, ROWS).to(tl.int64)[:, None]
        inputs = _inputs(x, state, row, (row < length) & lane, channels, x_row, TAPS, SUMS)
        total = tl.zeros((ROWS, CHANNELS), SUMS)
        for tap in tl.static_range(TAPS):
            later = row + (TAPS - 1 - tap)
            inside = (later >= 0) & (later < length) & lane
            grad = tl.load(grad_y + later * channels, mask=inside, other=0.0).to(SUMS)
            if SILU:
                seen = _convolved(
                    x, weight, bias, state, later, inside, lane, channels, x_row, w_tap, TAPS, SUMS
                )
                share = _sigmoid(seen)
                grad *= share * (1 + seen * (1 - share))
            total += grad * tl.load(weight + tap * w_tap, mask=lane, other=0.0).to(SUMS)
            sums += tl.where(kind == tap, tl.sum(grad * inputs, 0)[None, :], 0)
            if tap == TAPS - 1:
                sums += tl.where(kind == TAPS, tl.sum(grad, 0)[None, :], 0)
        tl.store(grad_x + row * channels, total, mask=(row >= 0) & (row < length) & lane)
        if grad_state is not None:
            place = grad_state + (batch * (TAPS - 1) + row + TAPS - 1) * channels + channel
            tl.store(place, total, mask=(row < 0) & lane)
    stretches = tl.num_programs(0)
    place = ((batch * stretches + tl.program_id(0)) * (TAPS + 1) + kind) * channels + channel
    tl.store(grad_taps + place, sums, mask=(kind <= TAPS) & lane)


@triton.jit
@no_type_check
def _place(stretch, CHANNELS: tl.constexpr):
    """Return a program's first row, its channels, and its sequence."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    return tl.program_id(0) * stretch, channel, tl.program_id(2).to(tl.int64)


@triton.jit
@no_type_check
def _moved(
    x, weight, bias, state, batch, channel, channels, x_batch, x_channel, w_channel,
    TAPS: tl.constexpr,
):  # fmt: skip
    """Return where a program's channels lie."""
    if bias is not None:
        bias += channel
    if state is not None:
        state += (batch * (TAPS - 1) + TAPS - 1) * channels + channel
    return x + batch * x_batch + channel * x_channel, weight + channel * w_channel, bias, state


@triton.jit
@no_type_check
def _convolved(
    x, weight, bias, state, row, inside, lane, channels, x_row, w_tap,
    TAPS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Return the sums of some rows."""
    sums = tl.zeros(inside.shape, SUMS)
    if bias is not None:
        sums += tl.load(bias, mask=lane, other=0.0).to(SUMS)
    for tap in tl.static_range(TAPS):
        share = tl.load(weight + tap * w_tap, mask=lane, other=0.0).to(SUMS)
        earlier = row - (TAPS - 1 - tap)
        sums += share * _inputs(x, state, earlier, inside, channels, x_row, TAPS, SUMS)
    return sums


@triton.jit
@no_type_check
def _inputs(x, state, row, inside, channels, x_row, TAPS: tl.constexpr, SUMS: tl.constexpr):
    """Return the inputs of some rows; before zero, those of the state."""
    found = tl.load(x + row * x_row, mask=inside & (row >= 0), other=0.0).to(SUMS)
    if state is not None:
        early = inside & (row < 0) & (row > -TAPS)
        found += tl.load(state + row * channels, mask=early, other=0.0).to(SUMS)
    return found


@triton.jit
@no_type_check
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))
