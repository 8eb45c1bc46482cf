"""Mamba's recurrence, whose decays and inputs are made in registers and never in memory.

h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t, y_t = sum_n gain C_t h_t + D x_t.

A sequence is cut into chunks, as in `first_order_scan`; the product of a chunk's decays follows
from the sum of its steps. Forwards, three launches: the states that chunks end with from zero, the
states before chunks, the outputs. Backwards, four: what chunks let through to the state before
them, what comes from behind chunks, the states before groups of a few positions, and with both each
group a last time: forwards, its states in registers, and backwards, with all gradients. Those that
channels share are summed over a program's channels, and over programs in the end.

A program takes some channels of a chunk with all their states, position by position.

Axes: b batch, l length, d channels, n states, c chunks, g groups, k blocks of channels.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.launch import launch

if TYPE_CHECKING:
    from baselines.ops.scans.selective_scan import Selective

CHANNELS = 32
"""Of a program; what is summed over channels is written once for so many."""
GROUP = 16
"""Positions whose states a program holds at once."""
LEAST = 16
"""Positions of a chunk at least, a multiple of a group's."""


def selective_scan(
    x: Float[Tensor, "b l d"], system: "Selective", state: Float[Tensor, "b d n"]
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]:
    """Return outputs and the last state; see `baselines.ops.scans.selective_scan`."""
    s = system
    given = (x, s.dt, s.A, s.B, s.C, s.D, s.gain, state)
    result: tuple[Tensor, Tensor] = _SelectiveScan.apply(*given)  # type: ignore[no-untyped-call]
    return result


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Tensor | None) -> tuple[Tensor, Tensor]:
        cut = _Cut._make(each if each is None else each.contiguous() for each in given)
        ends, totals = cut.room("cdn"), cut.room("cd")
        cut.launch(_write_ends, cut.dt, cut.x, cut.A, cut.B, ends, totals)
        starts, last = cut.starts(ends, totals, cut.state, reverse=False)
        y = torch.empty_like(cut.x)
        cut.launch(_write_outputs, *cut[:7], starts, y, MARK=False, GROUP=GROUP)
        ctx.save_for_backward(*cut, starts, totals)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_last: Tensor) -> tuple[Tensor | None, ...]:
        *whole, starts, totals = ctx.saved_tensors
        cut, grad_y = _Cut(*whole), grad_y.contiguous()
        through, marks = cut.room("cdn"), cut.room("gdn")
        cut.launch(_write_through, cut.dt, cut.A, cut.C, cut.gain, grad_y, through)
        behind, grad_state = cut.starts(through, totals, grad_last.contiguous(), reverse=True)
        cut.launch(_write_outputs, *cut[:7], starts, marks, MARK=True, GROUP=GROUP)
        grad_x, grad_dt = torch.empty_like(cut.x), torch.empty_like(cut.dt)
        grad_A, grad_D = cut.room("cdn"), cut.room("cd")
        grad_gain = None if cut.gain is None else cut.room("cdn")
        grad_B, grad_C = cut.room("kln"), cut.room("kln")
        grads = grad_x, grad_dt, grad_A, grad_B, grad_C, grad_D, grad_gain
        given = *cut[:7], marks, behind, grad_y
        # So many warps find registers for the states of a group.
        cut.launch(_write_gradients, *given, *grads, warps=8, GROUP=GROUP)
        shared = (
            each if each is None else each.sum((0, 1)) for each in (grad_A, grad_D, grad_gain)
        )
        by_A, by_D, by_gain = shared
        return grad_x, grad_dt, by_A, grad_B.sum(1), grad_C.sum(1), by_D, by_gain, grad_state


class _Cut(NamedTuple):
    """What is scanned, without gaps, and how."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    gain: Tensor | None
    state: Tensor

    @property
    def chunk(self) -> int:
        """Positions of a chunk, about as many as there are chunks."""
        return max(LEAST, 1 << math.ceil(math.log2(self.x.shape[1]) / 2))

    def room(self, axes: str) -> Tensor:
        """Return room for a number for each sequence and each index of axes."""
        batch, length, channels = self.x.shape
        chunks = triton.cdiv(length, self.chunk)
        sizes = {"l": length, "d": channels, "n": self.A.shape[1], "c": chunks}
        sizes |= {"g": chunks * self.chunk // GROUP, "k": triton.cdiv(channels, CHANNELS)}
        return self.x.new_empty(batch, *(sizes[axis] for axis in axes))

    def launch(self, kernel: Any, *given: Any, warps: int = 1, **constants: Any) -> None:
        """Run a kernel whose programs take some channels of a chunk."""
        batch, length, channels = self.x.shape
        grid = triton.cdiv(length, self.chunk), triton.cdiv(channels, CHANNELS), batch
        sizes = length, channels, self.A.shape[1]
        constants |= {"CHANNELS": CHANNELS, "STATES": triton.next_power_of_2(sizes[-1])}
        launch(kernel, grid, *sizes, self.chunk, *given, **constants, num_warps=warps)

    def starts(
        self, ends: Tensor, totals: Tensor, first: Tensor, *, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the states before chunks and the one after all, the other way round in reverse."""
        starts, last = torch.empty_like(ends), torch.empty_like(first)
        batch, chunks, channels, states = ends.shape
        grid = triton.cdiv(channels, CHANNELS), batch
        constants = {"CHANNELS": CHANNELS, "STATES": triton.next_power_of_2(states)}
        sizes = chunks, channels, states
        given = self.A, ends, totals, first, starts, last
        launch(_write_starts, grid, *sizes, *given, REVERSE=reverse, **constants, num_warps=1)
        return starts, last


@triton.jit
@no_type_check
def _write_ends(
    length, channels, states, chunk, dt, x, A, B, ends, totals,
    CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Write the states after each chunk that begins at zero, and the sum of its steps."""
    channel, state, here, both, batch = _lanes(channels, states, CHANNELS, STATES)
    row = batch * length + tl.program_id(0) * chunk
    x += row * channels + channel
    dt += row * channels + channel
    B += row * states + state
    place = _place(channels, channel)
    rate = _rate(A, channel, states, state, both)
    h = tl.zeros((CHANNELS, STATES), rate.dtype)
    total = tl.zeros((CHANNELS,), rate.dtype)
    for _ in range(tl.minimum(chunk, length - tl.program_id(0) * chunk)):
        step = tl.load(dt, mask=here, other=0.0)
        drive = step * tl.load(x, mask=here, other=0.0)
        inward = tl.load(B, mask=state < states, other=0.0)
        h = tl.exp(step[:, None] * rate) * h + drive[:, None] * inward[None, :]
        total += step
        x += channels
        dt += channels
        B += states
    tl.store(ends + place[:, None] * states + state[None, :], h, mask=both)
    tl.store(totals + place, total, mask=here)


@triton.jit
@no_type_check
def _write_starts(
    chunks, channels, states, A, ends, totals, first, starts, last,
    REVERSE: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Write the states before each chunk, and the one after all."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    state = tl.arange(0, STATES)
    here, batch = channel < channels, tl.program_id(1).to(tl.int64)
    both = here[:, None] & (state < states)[None, :]
    inside = channel[:, None] * states + state[None, :]
    rate = _rate(A, channel, states, state, both)
    begin, step = (batch * chunks + chunks - 1, -1) if REVERSE else (batch * chunks, 1)
    totals += begin * channels + channel
    ends += begin * channels * states + inside
    starts += begin * channels * states + inside
    h = tl.load(first + batch * channels * states + inside, mask=both, other=0.0)
    for _ in range(chunks):
        tl.store(starts, h, mask=both)
        total = tl.load(totals, mask=here, other=0.0)
        h = tl.exp(total[:, None] * rate) * h + tl.load(ends, mask=both, other=0.0)
        totals += step * channels
        ends += step * channels * states
        starts += step * channels * states
    tl.store(last + batch * channels * states + inside, h, mask=both)


@triton.jit
@no_type_check
def _write_outputs(
    length, channels, states, chunk, x, dt, A, B, C, D, gain, starts, results,
    MARK: tl.constexpr, GROUP: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Write the outputs of each chunk, or instead the states before each group of positions."""
    channel, state, here, both, batch = _lanes(channels, states, CHANNELS, STATES)
    row = batch * length + tl.program_id(0) * chunk
    x += row * channels + channel
    dt += row * channels + channel
    B += row * states + state
    C += row * states + state
    rate = _rate(A, channel, states, state, both)
    inside = channel[:, None] * states + state[None, :]
    place = _place(channels, channel)
    h = tl.load(starts + place[:, None] * states + state[None, :], mask=both, other=0.0)
    if MARK:
        group = (batch * tl.num_programs(0) + tl.program_id(0)) * (chunk // GROUP)
        results += group * channels * states + inside
    else:
        results += row * channels + channel
        skip = tl.load(D + channel, mask=here, other=0.0)
        factor = tl.full((CHANNELS, STATES), 1, rate.dtype)
        if gain is not None:
            factor = tl.load(gain + inside, mask=both, other=0.0)
    first = tl.program_id(0) * chunk
    for now in range(tl.minimum(chunk, length - first)):
        if MARK:
            begins = (first + now) % GROUP == 0
            wanted = channel < tl.where(begins, channels, 0)
            tl.store(results, h, mask=wanted[:, None] & both)
            results += tl.where(begins, channels * states, 0)
        step = tl.load(dt, mask=here, other=0.0)
        value = tl.load(x, mask=here, other=0.0)
        inward = tl.load(B, mask=state < states, other=0.0)
        h = tl.exp(step[:, None] * rate) * h + (step * value)[:, None] * inward[None, :]
        if not MARK:
            outward = tl.load(C, mask=state < states, other=0.0)
            y = tl.sum(h * factor * outward[None, :], 1) + skip * value
            tl.store(results, y, mask=here)
            results += channels
        x += channels
        dt += channels
        B += states
        C += states


@triton.jit
@no_type_check
def _write_through(
    length, channels, states, chunk, dt, A, C, gain, grad_y, through,
    CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Write the gradient of the states before each chunk that nothing comes to from behind."""
    channel, state, here, both, batch = _lanes(channels, states, CHANNELS, STATES)
    count = tl.minimum(chunk, length - tl.program_id(0) * chunk)
    row = batch * length + tl.program_id(0) * chunk + count - 1
    grad_y += row * channels + channel
    dt += row * channels + channel
    C += row * states + state
    rate = _rate(A, channel, states, state, both)
    factor = tl.full((CHANNELS, STATES), 1, rate.dtype)
    if gain is not None:
        factor = tl.load(gain + channel[:, None] * states + state[None, :], mask=both, other=0.0)
    grad = tl.zeros((CHANNELS, STATES), rate.dtype)
    for _ in range(count):
        above = tl.load(grad_y, mask=here, other=0.0)
        outward = tl.load(C, mask=state < states, other=0.0)
        step = tl.load(dt, mask=here, other=0.0)
        grad = tl.exp(step[:, None] * rate) * (grad + above[:, None] * factor * outward[None, :])
        grad_y -= channels
        dt -= channels
        C -= states
    place = _place(channels, channel)
    tl.store(through + place[:, None] * states + state[None, :], grad, mask=both)


@triton.jit
@no_type_check
def _write_gradients(
    length, channels, states, chunk, x, dt, A, B, C, D, gain, marks, behind, grad_y,
    grad_x, grad_dt, grad_A, grad_B, grad_C, grad_D, grad_gain,
    GROUP: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """Write all gradients of each chunk, group by group from its end on."""
    channel, state, here, both, batch = _lanes(channels, states, CHANNELS, STATES)
    first = tl.program_id(0) * chunk
    row = batch * length + first
    part = (batch * tl.num_programs(1) + tl.program_id(1)) * length + first
    inside = channel[:, None] * states + state[None, :]
    place = _place(channels, channel)
    rate = _rate(A, channel, states, state, both)
    factor = tl.full((CHANNELS, STATES), 1, rate.dtype)
    if gain is not None:
        factor = tl.load(gain + inside, mask=both, other=0.0)
    skip = tl.load(D + channel, mask=here, other=0.0)
    grad = tl.load(behind + place[:, None] * states + state[None, :], mask=both, other=0.0)
    by_A = tl.zeros((CHANNELS, STATES), rate.dtype)
    by_gain = by_A
    by_D = tl.zeros((CHANNELS,), rate.dtype)
    groups = tl.cdiv(tl.minimum(chunk, length - first), GROUP)
    for done in range(groups):
        group = groups - 1 - done
        mark = (batch * tl.num_programs(0) + tl.program_id(0)) * (chunk // GROUP) + group
        h = tl.load(marks + mark * channels * states + inside, mask=both, other=0.0)
        befores = ()
        for now in tl.static_range(GROUP):
            at = group * GROUP + now
            lanes = channel < tl.where(first + at < length, channels, 0)
            step = tl.load(dt + (row + at) * channels + channel, mask=lanes, other=0.0)
            value = tl.load(x + (row + at) * channels + channel, mask=lanes, other=0.0)
            rows = state < tl.where(first + at < length, states, 0)
            inward = tl.load(B + (row + at) * states + state, mask=rows, other=0.0)
            befores = befores + (h,)  # noqa: RUF005 - Triton knows no other
            h = tl.exp(step[:, None] * rate) * h + (step * value)[:, None] * inward[None, :]
        for back in tl.static_range(GROUP):
            at = group * GROUP + GROUP - 1 - back
            lanes = channel < tl.where(first + at < length, channels, 0)
            rows = state < tl.where(first + at < length, states, 0)
            wide = (row + at) * channels + channel
            narrow = (row + at) * states + state
            step = tl.load(dt + wide, mask=lanes, other=0.0)
            value = tl.load(x + wide, mask=lanes, other=0.0)
            above = tl.load(grad_y + wide, mask=lanes, other=0.0)
            inward = tl.load(B + narrow, mask=rows, other=0.0)
            outward = tl.load(C + narrow, mask=rows, other=0.0)
            before = befores[GROUP - 1 - back]
            left = tl.exp(step[:, None] * rate) * before
            h = left + (step * value)[:, None] * inward[None, :]
            grad += above[:, None] * factor * outward[None, :]
            read = above[:, None] * h
            by_gain += read * outward[None, :]
            by_D += above * value
            to_C = tl.sum(read * factor, 0)
            to_B = tl.sum(grad * (step * value)[:, None], 0)
            driven = tl.sum(grad * inward[None, :], 1)
            by_A += grad * left * step[:, None]
            to_dt = value * driven + tl.sum(grad * left * rate, 1)
            tl.store(grad_x + wide, above * skip + step * driven, mask=lanes)
            tl.store(grad_dt + wide, to_dt, mask=lanes)
            tl.store(grad_B + (part + at) * states + state, to_B, mask=rows)
            tl.store(grad_C + (part + at) * states + state, to_C, mask=rows)
            grad = tl.exp(step[:, None] * rate) * grad
    tl.store(grad_A + place[:, None] * states + state[None, :], by_A, mask=both)
    tl.store(grad_D + place, by_D, mask=here)
    if gain is not None:
        tl.store(grad_gain + place[:, None] * states + state[None, :], by_gain, mask=both)


@triton.jit
@no_type_check
def _lanes(channels, states, CHANNELS: tl.constexpr, STATES: tl.constexpr):
    """Return a program's channels and states, which of them there are, and its sequence."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    state = tl.arange(0, STATES)
    here = channel < channels
    both = here[:, None] & (state < states)[None, :]
    return channel, state, here, both, tl.program_id(2).to(tl.int64)


@triton.jit
@no_type_check
def _place(channels, channel):
    """Return where a program's channels lie in what has a row a chunk."""
    batch = tl.program_id(2).to(tl.int64)
    return (batch * tl.num_programs(0) + tl.program_id(0)) * channels + channel


@triton.jit
@no_type_check
def _rate(A, channel, states, state, both):
    """Read the rates of a program's channels."""
    return tl.load(A + channel[:, None] * states + state[None, :], mask=both, other=0.0)
