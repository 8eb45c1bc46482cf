"""The first-order recurrence h_t = a_t h_{t-1} + b_t, real or complex, in either direction of time.

A sequence is cut into chunks, which run side by side in three launches at every length: each chunk
from zero to its end, with the product of its gates; then the states before all chunks, one by one;
then each chunk again, from the state before it. A program takes some channels of a chunk, position
by position, so sums are those of the recurrence itself and nothing is ever divided. A chunk has as
many positions as there are chunks: no launch takes longer than another, and one sequence has enough
of them to fill a card.

The first launch reads a and b, the third reads them again and writes h. The gradient is the same
recurrence the other way round: its first launch reads a and the gradient of h, its third these and
h, and writes the gradients of a and b. Nothing but what is returned is held for it.

Sums are float32 unless b is double. Between chunks, complex numbers are complex128, since the phase
of a long product loses one digit a decade of its length.

A row is a position in the order of a scan, which in reverse begins at the last one.

Axes: b batch, l length, d channels, c chunks.
"""

import math
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Inexact
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch

CHANNELS = 32
"""Of a program: one warp, which reads 128 bytes of a position at once."""
LEAST = 16
"""Positions of a chunk at least."""


def first_order_scan(
    a: Inexact[Tensor, "*bl d"],
    b: Inexact[Tensor, "b l d"],
    initial: Inexact[Tensor, "b d"],
    *,
    reverse: bool = False,
) -> tuple[Inexact[Tensor, "b l d"], Inexact[Tensor, "b d"]]:
    """Return all states, in the precision of b, and a copy of the last row's.

    Args:
        a: Gates, (b, l, d), or (d,) if they are the same at all positions.
        b: What each position adds; complex if the gates are.
        initial: The state before the first row.
        reverse: h_t = a_t h_{t+1} + b_t instead.
    """
    states: Tensor = _FirstOrder.apply(a, b, initial, reverse)  # type: ignore[no-untyped-call]
    return states, states[:, 0 if reverse else -1].to(initial.dtype, copy=True)


class _FirstOrder(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, initial: Tensor, reverse: bool) -> Tensor:
        states = torch.empty_like(b, memory_format=torch.contiguous_format)
        write_states(a, b, initial, states, reverse=reverse)
        ctx.save_for_backward(a, states, initial)
        ctx.reverse = reverse
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, states, initial = ctx.saved_tensors
        grad_a, grad_b = gradients(a, states, initial, grad, reverse=ctx.reverse)
        row = -1 if ctx.reverse else 0
        first = a if a.ndim == 1 else a[:, row]
        return grad_a, grad_b, (first.conj() * grad_b[:, row]).to(initial.dtype), None


def write_states(
    a: Inexact[Tensor, "*bl d"],
    b: Inexact[Tensor, "b l d"],
    initial: Inexact[Tensor, "b d"],
    states: Inexact[Tensor, "b l d"],
    *,
    reverse: bool = False,
    starts: Inexact[Tensor, "b c *d"] | None = None,
) -> Inexact[Tensor, "b c *d"]:
    """Write all states of `first_order_scan`, without a gradient; return those before chunks.

    Args:
        a: As in there.
        b: As in there.
        initial: As in there.
        states: Without gaps; b itself will do.
        reverse: As in there.
        starts: What it returned before, which saves two launches.
    """
    walk = _Walk(a, b, reverse=reverse, adjoint=False)
    starts = walk.starts(initial) if starts is None else starts
    walk.launch(_write_states, starts, reals(states))
    return starts


def gradients(
    a: Inexact[Tensor, "*bl d"],
    states: Inexact[Tensor, "b l d"],
    initial: Inexact[Tensor, "b d"],
    grad: Inexact[Tensor, "b l d"],
    *,
    reverse: bool = False,
) -> tuple[Inexact[Tensor, "*bl d"], Inexact[Tensor, "b l d"]]:
    """Return the gradients of a and b from the states, and from theirs."""
    walk = _Walk(a, grad, reverse=not reverse, adjoint=True)
    starts = walk.starts(None)
    grad_a, grad_b = torch.empty_like(states, dtype=a.dtype), torch.empty_like(states)
    if walk.shared:  # Each chunk has a gradient, and the sum is small.
        grad_a = starts.new_empty(starts.shape[:3], dtype=_type_like(a, starts))
    given = starts, reals(states), reals(initial.contiguous()), reals(grad_a), reals(grad_b)
    walk.launch(_write_gradients, *given, SHARED=walk.shared)
    return grad_a.sum((0, 1)).to(a.dtype) if walk.shared else grad_a, grad_b


class _Walk:
    """One scan: how it is cut, what it reads, and what its kernels are compiled for.

    Args:
        a: Gates, as in `first_order_scan`.
        b: What each position adds.
        reverse: From the last position on.
        adjoint: Whether a row has the conjugate gate of the row before it, as gradients have.
    """

    def __init__(self, a: Tensor, b: Tensor, *, reverse: bool, adjoint: bool) -> None:
        batch, length, channels = b.shape
        gates, drive = reals(a.expand(b.shape)), reals(b)
        self.chunk = max(LEAST, 1 << math.ceil(math.log2(length) / 2))
        self.grid = triton.cdiv(length, self.chunk), triton.cdiv(channels, CHANNELS), batch
        strides = *gates.stride()[:3], *drive.stride()[:3]
        self.given: tuple[Any, ...] = gates, drive, length, channels, self.chunk, *strides
        self.sums = torch.promote_types(drive.dtype, torch.float32)
        self.constants = {
            "PAIRS": b.is_complex(),
            "REVERSE": reverse,
            "ADJOINT": adjoint,
            "SUMS": {torch.float32: tl.float32, torch.float64: tl.float64}[self.sums],
        }
        self.a, self.shared = a, a.ndim == 1

    def launch(self, kernel: Any, *results: Tensor, **constants: Any) -> None:
        """Run a kernel whose programs take some channels of a chunk."""
        constants |= self.constants | {"CHANNELS": CHANNELS, "num_warps": 1}
        launch(kernel, self.grid, *self.given, *results, **constants)

    def starts(self, initial: Tensor | None) -> Tensor:
        """Return the (b, c, d) states before the chunks, as pairs if complex; from zero if None."""
        (chunks, _, batch), channels, pairs = self.grid, self.given[3], self.constants["PAIRS"]
        type_ = torch.float64 if pairs else self.sums
        ends = self.a.new_empty((batch, chunks, channels, *[2] * pairs), dtype=type_)
        starts, products = torch.empty_like(ends), torch.empty_like(ends)
        if self.shared:
            whole = self.a.to(_type_like(self.a, ends)) ** self.chunk
            products = reals(whole.conj() if self.constants["ADJOINT"] else whole).expand_as(ends)
        self.launch(_write_ends, products, ends, SHARED=self.shared)
        if initial is not None:
            initial = reals(initial.contiguous())
        given = products, ends, initial, starts, chunks, channels, *products.stride()[:2]
        constants = {"PAIRS": pairs, "CHANNELS": CHANNELS, "num_warps": 1}
        launch(_write_starts, (self.grid[1], batch), *given, **constants)
        return starts


def reals(x: Tensor) -> Tensor:
    """Return real numbers as they are, and complex ones as pairs in the last axis."""
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x


def _type_like(x: Tensor, reals: Tensor) -> torch.dtype:
    """Return a type that is complex as one tensor is and as precise as another."""
    return reals.dtype.to_complex() if x.is_complex() else reals.dtype


@triton.jit
@no_type_check
def _write_ends(
    a, b, length, channels, chunk, a_batch, a_row, a_channel, b_batch, b_row, b_channel,
    products, ends,
    PAIRS: tl.constexpr, REVERSE: tl.constexpr, ADJOINT: tl.constexpr, SUMS: tl.constexpr,
    SHARED: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the state after each chunk that begins at zero, and the product of gates not shared."""
    first, count, position, step = _rows(length, chunk, REVERSE)
    channel, inside, batch = _lanes(channels, CHANNELS)
    a += batch * a_batch + (position - step if ADJOINT else position) * a_row + channel * a_channel
    b += batch * b_batch + position * b_row + channel * b_channel
    h_re = tl.zeros((CHANNELS,), SUMS)
    h_im = h_re
    p_re = tl.full((CHANNELS,), 1, products.dtype.element_ty)
    p_im = tl.zeros((CHANNELS,), products.dtype.element_ty)
    for row in range(count):
        # The row before the first has no gate, nor is there a state that one would meet.
        had = _if(first + row > 0, channel, channels) if ADJOINT else inside
        a_re, a_im = _gate(a, had, PAIRS, ADJOINT)
        b_re, b_im = _read(b, inside, PAIRS)
        h_re, h_im = _advance(a_re, a_im, h_re, h_im, b_re, b_im, PAIRS, SUMS)
        if not SHARED:
            p_re, p_im = _advance(a_re, a_im, p_re, p_im, 0.0, 0.0, PAIRS, p_re.dtype)
        a += step * a_row
        b += step * b_row
    place = ((batch * tl.num_programs(0) + tl.program_id(0)) * channels + channel) * (1 + PAIRS)
    _write(ends + place, h_re, h_im, inside, PAIRS)
    if not SHARED:
        _write(products + place, p_re, p_im, inside, PAIRS)


@triton.jit
@no_type_check
def _write_starts(
    products, ends, initial, starts, chunks, channels, p_batch, p_chunk,
    PAIRS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the state before each chunk."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside, batch = channel < channels, tl.program_id(1).to(tl.int64)
    channel *= 1 + PAIRS
    row = channels * (1 + PAIRS)
    products += batch * p_batch + channel
    ends += batch * chunks * row + channel
    starts += batch * chunks * row + channel
    h_re = tl.zeros((CHANNELS,), starts.dtype.element_ty)
    h_im = h_re
    if initial is not None:
        h_re, h_im = _read(initial + batch * row + channel, inside, PAIRS)
        h_re, h_im = h_re.to(starts.dtype.element_ty), h_im.to(starts.dtype.element_ty)
    for _ in range(chunks):
        _write(starts, h_re, h_im, inside, PAIRS)
        p_re, p_im = _read(products, inside, PAIRS)
        e_re, e_im = _read(ends, inside, PAIRS)
        h_re, h_im = _advance(p_re, p_im, h_re, h_im, e_re, e_im, PAIRS, h_re.dtype)
        products += p_chunk
        ends += row
        starts += row


@triton.jit
@no_type_check
def _write_states(
    a, b, length, channels, chunk, a_batch, a_row, a_channel, b_batch, b_row, b_channel,
    starts, states,
    PAIRS: tl.constexpr, REVERSE: tl.constexpr, ADJOINT: tl.constexpr, SUMS: tl.constexpr,
    CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write all states of each chunk from the one before it."""
    _, count, position, step = _rows(length, chunk, REVERSE)
    channel, inside, batch = _lanes(channels, CHANNELS)
    a += batch * a_batch + position * a_row + channel * a_channel
    b += batch * b_batch + position * b_row + channel * b_channel
    states += ((batch * length + position) * channels + channel) * (1 + PAIRS)
    place = ((batch * tl.num_programs(0) + tl.program_id(0)) * channels + channel) * (1 + PAIRS)
    h_re, h_im = _read(starts + place, inside, PAIRS)
    h_re, h_im = h_re.to(SUMS), h_im.to(SUMS)
    for _ in range(count):
        a_re, a_im = _gate(a, inside, PAIRS, ADJOINT)
        b_re, b_im = _read(b, inside, PAIRS)
        h_re, h_im = _advance(a_re, a_im, h_re, h_im, b_re, b_im, PAIRS, SUMS)
        _write(states, h_re, h_im, inside, PAIRS)
        a += step * a_row
        b += step * b_row
        states += step * channels * (1 + PAIRS)


@triton.jit
@no_type_check
def _write_gradients(
    a, b, length, channels, chunk, a_batch, a_row, a_channel, b_batch, b_row, b_channel,
    starts, states, initial, grad_a, grad_b,
    PAIRS: tl.constexpr, REVERSE: tl.constexpr, ADJOINT: tl.constexpr, SUMS: tl.constexpr,
    SHARED: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write what the adjoint, which is the gradient of b, makes of the state before each position.

    b holds the gradients of the states; shared gates have one gradient a chunk.
    """
    first, count, position, step = _rows(length, chunk, REVERSE)
    channel, inside, batch = _lanes(channels, CHANNELS)
    a += batch * a_batch + (position - step) * a_row + channel * a_channel
    b += batch * b_batch + position * b_row + channel * b_channel
    at = ((batch * length + position) * channels + channel) * (1 + PAIRS)
    stride = step * channels * (1 + PAIRS)
    states, grad_b = states + at + stride, grad_b + at
    initial += (batch * channels + channel) * (1 + PAIRS)
    place = ((batch * tl.num_programs(0) + tl.program_id(0)) * channels + channel) * (1 + PAIRS)
    grad_a += place if SHARED else at
    g_re, g_im = _read(starts + place, inside, PAIRS)
    g_re, g_im = g_re.to(SUMS), g_im.to(SUMS)
    sum_re = tl.zeros((CHANNELS,), SUMS)
    sum_im = sum_re
    for row in range(count):
        a_re, a_im = _gate(a, _if(first + row > 0, channel, channels), PAIRS, ADJOINT)
        b_re, b_im = _read(b, inside, PAIRS)
        g_re, g_im = _advance(a_re, a_im, g_re, g_im, b_re, b_im, PAIRS, SUMS)
        _write(grad_b, g_re, g_im, inside, PAIRS)
        # The last row of this walk is the first of the other one.
        h_re, h_im = _read(states, _if(first + row < length - 1, channel, channels), PAIRS)
        i_re, i_im = _read(initial, _if(first + row == length - 1, channel, channels), PAIRS)
        h_re, h_im = h_re.to(SUMS) + i_re.to(SUMS), -h_im.to(SUMS) - i_im.to(SUMS)
        d_re, d_im = _advance(h_re, h_im, g_re, g_im, 0.0, 0.0, PAIRS, SUMS)
        if SHARED:
            sum_re += d_re
            sum_im += d_im
        else:
            _write(grad_a, d_re, d_im, inside, PAIRS)
            grad_a += stride
        a += step * a_row
        b += step * b_row
        states += stride
        grad_b += stride
    if SHARED:
        _write(grad_a, sum_re, sum_im, inside, PAIRS)


@triton.jit
@no_type_check
def _rows(length, chunk, REVERSE: tl.constexpr):
    """Return a program's first row and how many it has, and where they lie."""
    first = tl.program_id(0) * chunk
    count = tl.minimum(chunk, length - first)
    position = (length - 1 - first if REVERSE else first).to(tl.int64)
    return first, count, position, -1 if REVERSE else 1


@triton.jit
@no_type_check
def _lanes(channels, CHANNELS: tl.constexpr):
    """Return a program's channels, which of them there are, and its sequence."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    return channel, channel < channels, tl.program_id(2).to(tl.int64)


@triton.jit
@no_type_check
def _if(condition, channel, channels):
    """Return which channels there are if a condition holds, none otherwise."""
    return channel < tl.where(condition, channels, 0)


@triton.jit
@no_type_check
def _gate(at, inside, PAIRS: tl.constexpr, ADJOINT: tl.constexpr):
    """Read a gate, conjugate for the adjoint."""
    re, im = _read(at, inside, PAIRS)
    if PAIRS and ADJOINT:
        im = -im
    return re, im


@triton.jit
@no_type_check
def _read(at, inside, PAIRS: tl.constexpr):
    """Return real and imaginary parts; of real numbers the second means nothing."""
    re = tl.load(at, mask=inside, other=0.0)
    im = re
    if PAIRS:
        im = tl.load(at + 1, mask=inside, other=0.0)
    return re, im


@triton.jit
@no_type_check
def _write(at, re, im, inside, PAIRS: tl.constexpr):
    tl.store(at, re, mask=inside)
    if PAIRS:
        tl.store(at + 1, im, mask=inside)


@triton.jit
@no_type_check
def _advance(a_re, a_im, h_re, h_im, b_re, b_im, PAIRS: tl.constexpr, SUMS: tl.constexpr):
    """Return a h + b in a precision."""
    a_re = a_re.to(SUMS)
    re = a_re * h_re + b_re
    im = h_im
    if PAIRS:
        a_im = a_im.to(SUMS)
        re = a_re * h_re - a_im * h_im + b_re
        im = a_re * h_im + a_im * h_re + b_im
    return re.to(SUMS), im.to(SUMS)
