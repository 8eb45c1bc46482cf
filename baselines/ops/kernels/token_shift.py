"""A sequence mixed with itself a position later, in six shares: one launch, and one backwards.

In torch each share is a walk through memory, and three more for its gradients.

Axes: b batch, l length, d channels, p programs.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch, stretches
from baselines.ops.layers.time_mixing import Shifted

CHANNELS = 64
"""Of a program at most."""
NUMBERS = 1024
"""Of a block of positions."""
PROGRAMS = 512
"""For the same channels at most."""


def token_shift(
    u: Float[Tensor, "b l d"], before: Float[Tensor, "b d"], shares: Float[Tensor, "6 d"]
) -> Shifted:
    """Return u with each share of the position before; see `baselines.ops.layers.time_mixing`."""
    shifted: Shifted = _Shift.apply(u, before, shares)  # type: ignore[no-untyped-call]
    return shifted


class _Shift(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, before: Tensor, shares: Tensor) -> tuple[Tensor, ...]:
        given = u.contiguous(), before.contiguous(), shares.contiguous()
        ctx.save_for_backward(*given)
        results = tuple(torch.empty_like(given[0]) for _ in shares)
        _launch(_write_shifted, *given, *results)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        u, before, shares = ctx.saved_tensors
        grad_u, grad_before = torch.empty_like(u), torch.empty_like(before)
        parts = shares.new_empty(len(u), _cut(u)[3], *shares.shape)
        above = (grad.contiguous() for grad in grads)
        _launch(_write_gradients, u, before, shares, *above, grad_u, grad_before, parts)
        return grad_u, grad_before, parts.sum((0, 1))


def _cut(u: Tensor) -> tuple[int, ...]:
    """Return a program's channels, its rows at a time and in all, and how many programs there are.

    There are so many for the same channels of a sequence.
    """
    channels = min(CHANNELS, triton.next_power_of_2(u.shape[2]))
    block = max(1, NUMBERS // channels)
    return channels, block, *stretches(u.shape[1], block, PROGRAMS)


def _launch(kernel: Any, u: Tensor, before: Tensor, shares: Tensor, *rest: Tensor) -> None:
    """Run a kernel whose programs walk through some positions of some channels of a sequence."""
    channels, block, stretch, programs = _cut(u)
    batch, length, width = u.shape
    launch(
        kernel, (programs, triton.cdiv(width, channels), batch), u, before, shares, *rest,
        length, stretch, width, ROWS=block, CHANNELS=channels, num_warps=4,
        SUMS=tl.float64 if shares.dtype == torch.float64 else tl.float32,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_shifted(
    u, before, shares, r, w, k, v, a, g, length, stretch, width,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    first, channel, batch = _program(stretch, CHANNELS)
    for start in range(first, tl.minimum(first + stretch, length), ROWS):
        at, row, inside = _places(start, batch, channel, length, width, ROWS)
        now, change = _change(u + at, before + batch * width + channel, row, inside, width, SUMS)
        _write_mixed(r + at, now, change, shares, 0, channel, width, inside, SUMS)
        _write_mixed(w + at, now, change, shares, 1, channel, width, inside, SUMS)
        _write_mixed(k + at, now, change, shares, 2, channel, width, inside, SUMS)
        _write_mixed(v + at, now, change, shares, 3, channel, width, inside, SUMS)
        _write_mixed(a + at, now, change, shares, 4, channel, width, inside, SUMS)
        _write_mixed(g + at, now, change, shares, 5, channel, width, inside, SUMS)


@triton.jit
@no_type_check
def _write_gradients(
    u, before, shares, r, w, k, v, a, g, grad_u, grad_before, parts, length, stretch, width,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of a stretch, to which those of the next positions add; and of shares.

    The last state's gradient is that of the first position's change.
    """
    first, channel, batch = _program(stretch, CHANNELS)
    kind = tl.arange(0, 8)[:, None]
    sums = tl.zeros((8, CHANNELS), SUMS)
    for start in range(first, tl.minimum(first + stretch, length), ROWS):
        at, row, inside = _places(start, batch, channel, length, width, ROWS)
        _, change = _change(u + at, before + batch * width + channel, row, inside, width, SUMS)
        later = inside & (row + 1 < length)
        early = grad_before + batch * width + channel + row
        whole = tl.zeros((ROWS, CHANNELS), SUMS)
        past = tl.zeros((ROWS, CHANNELS), SUMS)
        for number in tl.static_range(6):
            if number == 0:
                above = r + at
            elif number == 1:
                above = w + at
            elif number == 2:
                above = k + at
            elif number == 3:
                above = v + at
            elif number == 4:
                above = a + at
            else:
                above = g + at
            share = _share(shares, number, channel, width, SUMS)
            grad = tl.load(above, mask=inside, other=0.0).to(SUMS)
            whole += grad * (1 - share)
            whole += tl.load(above + width, mask=later, other=0.0).to(SUMS) * share
            past += grad * share
            sums += tl.where(kind == number, tl.sum(grad * change, 0)[None, :], 0)
        tl.store(grad_u + at, whole, mask=inside)
        tl.store(early, past, mask=inside & (row == 0))
    place = (batch * tl.num_programs(0) + tl.program_id(0)) * 6 + kind
    tl.store(parts + place * width + channel, sums, mask=(kind < 6) & (channel < width))


@triton.jit
@no_type_check
def _program(stretch, CHANNELS: tl.constexpr):
    """Return a program's first position, its channels, and its sequence."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    return tl.program_id(0) * stretch, channel, tl.program_id(2).to(tl.int64)


@triton.jit
@no_type_check
def _places(start, batch, channel, length, width, ROWS: tl.constexpr):
    """Return where the channels of some positions lie, the positions, and which there are."""
    row = start + tl.arange(0, ROWS).to(tl.int64)[:, None]
    return (batch * length + row) * width + channel, row, (row < length) & (channel < width)


@triton.jit
@no_type_check
def _change(u, before, row, inside, width, SUMS: tl.constexpr):
    """Return some positions, and what those before them are more."""
    now = tl.load(u, mask=inside, other=0.0).to(SUMS)
    past = tl.load(u - width, mask=inside & (row > 0), other=0.0).to(SUMS)
    past += tl.load(before + row * 0, mask=inside & (row == 0), other=0.0).to(SUMS)
    return now, past - now


@triton.jit
@no_type_check
def _share(shares, number, channel, width, SUMS: tl.constexpr):
    place = shares + number * width + channel
    return tl.load(place, mask=channel < width, other=0.0).to(SUMS)


@triton.jit
@no_type_check
def _write_mixed(place, now, change, shares, number, channel, width, inside, SUMS: tl.constexpr):
    tl.store(place, now + change * _share(shares, number, channel, width, SUMS), mask=inside)
