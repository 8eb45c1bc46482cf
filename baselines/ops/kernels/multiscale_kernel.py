"""Long kernels of short pieces that are stretched: all taps in one launch, and one backwards.

A tap is pieces' parameters weighed by hats: max(0, 1 - |place - j|) of parameter j, where the place
of the tap in its piece is cut off at both ends. A parameter's gradient reads the taps that its hat
meets, twice as many as its piece is stretched. Places are quotients of powers of two, so exact.

Axes: s pieces, r rows of channels and directions, p parameters of a piece, l taps.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch

TAPS = 256
"""Of a program, or at a time in the gradient, for the parameters of a piece together."""


def multiscale_kernel(
    pieces: Float[Tensor, "s d k p"], decay: Float[Tensor, " d"], length: int
) -> Float[Tensor, "d k l"]:
    """Return at most `length` taps; see `baselines.ops.convolution.multiscale`."""
    taps: Tensor = _Taps.apply(pieces, decay, length)  # type: ignore[no-untyped-call]
    return taps


class _Taps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pieces: Tensor, decay: Tensor, length: int) -> Tensor:
        (count, *rows, size), pieces = pieces.shape, pieces.contiguous()
        length = min(length, size << count - 1)
        taps = pieces.new_empty(*rows, length)
        ctx.save_for_backward(decay)
        ctx.shape = pieces.shape
        grid = triton.cdiv(length, TAPS), taps[..., 0].numel()
        _launch(_write_taps, grid, pieces, decay, taps, pieces.shape, COUNT=count, TAPS=TAPS)
        return taps

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (decay,), shape = ctx.saved_tensors, ctx.shape
        grads = grad.new_empty(shape)
        params = triton.next_power_of_2(min(shape[3], TAPS // 4))
        grid = shape[0] * triton.cdiv(shape[3], params), shape[1] * shape[2]
        constants = {"PARAMS": params, "TAPS": 2 * TAPS // params}
        _launch(_write_gradients, grid, grads, decay, grad.contiguous(), shape, **constants)
        return grads, None, None


def _launch(
    kernel: Any,
    grid: tuple[int, int],
    pieces: Tensor,
    decay: Tensor,
    taps: Tensor,
    shape: torch.Size,
    **constants: int,
) -> None:
    """Run a kernel whose programs have a row of their own."""
    _, channels, directions, size = shape
    sizes = taps.shape[-1], size, channels * directions, directions
    launch(kernel, grid, pieces, decay.contiguous(), taps, *sizes, num_warps=4, **constants)


@triton.jit
@no_type_check
def _write_taps(
    pieces, decay, taps, length, size, rows, directions, COUNT: tl.constexpr, TAPS: tl.constexpr
):  # fmt: skip
    row = tl.program_id(1)
    tap = tl.program_id(0) * TAPS + tl.arange(0, TAPS)
    fade = tl.load(decay + row // directions)
    number, begin, factor = tap * 0, tap * 0, tap * 0 + 1
    weight = 1 + tap * 0 * fade
    for later in range(1, COUNT):
        reached = tap >= size << later - 1
        number = tl.where(reached, later, number)
        begin = tl.where(reached, size << later - 1, begin)
        factor = tl.where(reached, 1 << later - 1, factor)
        weight = tl.where(reached, weight / fade, weight)
    place = _place(tap - begin, factor, size)
    left = place // (2 * factor)
    share = (place % (2 * factor)).to(weight.dtype) / (2 * factor)
    pieces += (number.to(tl.int64) * rows + row) * size
    inside = tap < length
    first = tl.load(pieces + left, mask=inside, other=0.0)
    second = tl.load(pieces + tl.minimum(left + 1, size - 1), mask=inside, other=0.0)
    mixed = (first + (second - first) * share) * weight
    tl.store(taps + row.to(tl.int64) * length + tap, mixed, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    grads, decay, above, length, size, rows, directions,
    PARAMS: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    row, parts = tl.program_id(1), tl.cdiv(size, PARAMS)
    number = tl.program_id(0) // parts
    param = tl.program_id(0) % parts * PARAMS + tl.arange(0, PARAMS)
    # The first two pieces are as long as their parameters are many.
    scale = tl.maximum(number - 1, 0)
    factor = 1 << scale
    begin = tl.where(number > 0, size << scale, 0)
    fade = tl.load(decay + row // directions)
    total = tl.zeros((PARAMS,), fade.dtype)
    above += row.to(tl.int64) * length
    for start in range(0, 2 * factor, TAPS):
        offset = start + tl.arange(0, TAPS)
        tap = (param * factor - factor // 2)[:, None] + offset[None, :]
        inside = (offset < 2 * factor)[None, :] & (tap >= 0) & (tap < size * factor)
        inside = inside & (begin + tap < length)
        away = tl.abs(_place(tap, factor, size) - (2 * factor * param)[:, None])
        hat = tl.maximum(2 * factor - away, 0).to(fade.dtype) / (2 * factor)
        total += tl.sum(tl.load(above + begin + tap, mask=inside, other=0.0) * hat, 1)
    for _ in range(number):
        total /= fade
    grads += (number.to(tl.int64) * rows + row) * size
    tl.store(grads + param, total, mask=param < size)


@triton.jit
@no_type_check
def _place(tap, factor, size):
    """Return where a tap lies in its piece, in halves of a cell, of which 2 factor are one."""
    return tl.minimum(tl.maximum(2 * tap + 1 - factor, 0), 2 * factor * (size - 1))
