"""What drives the scan of Mamba-3: decays, weights of inputs, and B and C normed and turned.

Angles are sums over time, for which torch has a launch. One kernel before it writes what is summed,
one behind it all else; backwards, the second one's gradient writes those of angles from the last
position to the first, so that torch's sum gathers them for the first one's.

Axes: b batch, l length, c what is projected, h heads, n state, k angles, p programs. Angles turn
the first pairs of neighbours; the others stand at an angle of zero.
"""

import math
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.functions import log1p, sigmoid, tanh
from baselines.ops.kernels.launch import launch
from baselines.ops.layers.two_tap_layer import EPS, LEAST_DECAY, Weights

SIZE = 256
"""Angles of a program."""
NUMBERS = 1024
"""Pairs of a head that a program takes at once, at some positions."""
TURN = tl.constexpr(2 * math.pi)

Heads = Float[Tensor, "b l h"]
Rows = Float[Tensor, "b l h n"]


def drives(
    rest: Float[Tensor, "b l c"], weights: Weights, angle: Float[Tensor, "b h k"]
) -> tuple[Rows, Rows, Heads, Heads, Heads, Float[Tensor, "b h"], Float[Tensor, "b h k"]]:
    """Return what the scan takes, from B, C, dt, A, share and angles that are projected.

    Args:
        rest: What is projected, side by side.
        weights: Of heads.
        angle: Before the first position.

    Returns:
        B and C; logarithms of decays; both weights of a position together; that of them which
        comes with the next position; the one by which the first position weighs what was before;
        and the last angle.
    """
    given = weights.B_norm, weights.C_norm, weights.B_bias[0], weights.C_bias[0]
    result: tuple[Tensor, ...] = _Drives.apply(rest, angle, weights.dt_bias, *given)  # type: ignore[no-untyped-call]
    B, C, log_decay, weight, later, early, last = result
    return B, C, log_decay, weight, later, early, last


class _Drives(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rest: Tensor, angle: Tensor, dt_bias: Tensor, *rows: Tensor
    ) -> tuple[Tensor, ...]:
        rest, angle = rest if rest.stride(2) == 1 else rest.contiguous(), angle.contiguous()
        (batch, length, _), heads, states = rest.shape, len(dt_bias), len(rows[0])
        turns = angle.new_empty(batch, length, *angle.shape[1:], dtype=torch.float64)
        launch(
            _write_turns, (triton.cdiv(turns.numel(), SIZE),), rest, dt_bias, turns, turns.numel(),
            *_sizes(rest, angle, states), SIZE=SIZE, num_warps=4, SUMS=_sums(dt_bias),
        )  # fmt: skip
        total = turns.cumsum(1)
        ctx.save_for_backward(rest, angle, total, dt_bias, *rows)
        ctx.set_materialize_grads(False)
        B, C = (dt_bias.new_empty(batch, length, heads, states) for _ in range(2))
        by_head = [dt_bias.new_empty(batch, length, heads) for _ in range(3)]
        results = B, C, *by_head, dt_bias.new_empty(batch, heads), torch.empty_like(angle)
        pairs, given = _pairs_of(states), (angle, total, dt_bias, *rows, *results)
        _launch(_write_drives, rest, angle, states, *given, PAIRS=pairs, EPS=EPS, LEAST=LEAST_DECAY)
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, ...]:
        rest, angle, total, dt_bias, *rows = ctx.saved_tensors
        above = [None if grad is None else grad.contiguous() for grad in grads]
        grad_rest = torch.empty_like(rest, memory_format=torch.contiguous_format)
        backwards, states, heads = torch.empty_like(total), len(rows[0]), len(dt_bias)
        programs = triton.cdiv(rest[..., 0].numel(), _block(states))
        parts = dt_bias.new_empty(programs, 2, heads + 1, states)
        given = angle, total, *rows, *above[:2], above[6], grad_rest, backwards, parts
        pairs = _pairs_of(states)
        _launch(_write_gradients_of_rows, rest, angle, states, *given, PAIRS=pairs, EPS=EPS)
        by_angle = backwards.cumsum(1)
        biases = dt_bias.new_empty(programs, heads)
        given = dt_bias, *above[2:6], by_angle, grad_rest, biases
        constants = {"ANGLES": triton.next_power_of_2(angle.shape[2]), "LEAST": LEAST_DECAY}
        _launch(_write_gradients_of_steps, rest, angle, states, *given, **constants)
        by_rows = parts.sum(0)
        scales, shifts = by_rows[:, heads], by_rows[:, :heads]
        grad_angle = by_angle[:, -1].to(angle.dtype)
        return grad_rest, grad_angle, biases.sum(0), *scales.unbind(), *shifts.unbind()


def _sizes(rest: Tensor, angle: Tensor, states: int) -> tuple[int, ...]:
    """Return the positions of a sequence, heads, states, angles, and strides of positions."""
    return rest.shape[1], angle.shape[1], states, angle.shape[2], *rest.stride()[:2]


def _sums(x: Tensor) -> Any:
    return tl.float64 if x.dtype == torch.float64 else tl.float32


def _pairs_of(states: int) -> int:
    return 1 << (-(-states // 2) - 1).bit_length()


def _block(states: int) -> int:
    """Return the positions of a program."""
    return max(1, NUMBERS // _pairs_of(states))


def _launch(
    kernel: Any, rest: Tensor, angle: Tensor, states: int, *given: Tensor | None, **constants: Any
) -> None:
    """Run a kernel whose programs take all heads at some positions."""
    rows, block = rest[..., 0].numel(), _block(states)
    sizes = rows, *_sizes(rest, angle, states)
    constants |= {"ROWS": block, "SUMS": _sums(angle), "num_warps": 4}
    launch(kernel, (triton.cdiv(rows, block),), rest, *given, *sizes, **constants)


@triton.jit
@no_type_check
def _write_turns(
    rest, dt_bias, turns, count, length, heads, states, angles, batch_step, row_step,
    SIZE: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Write by how much each position turns each pair of a head."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside, head, row = at < count, at // angles % heads, at // angles // heads
    rest += row // length * batch_step + row % length * row_step + 2 * states
    step, _ = _step(rest, dt_bias, head, inside, SUMS)
    turn = tl.load(rest + 3 * heads + at % angles, mask=inside, other=0.0).to(SUMS)
    tl.store(turns + at, tanh(turn) * (TURN / 2) * step, mask=inside)


@triton.jit
@no_type_check
def _write_drives(
    rest, angle, total, dt_bias, B_norm, C_norm, B_bias, C_bias,
    B, C, log_decay, weight, later, early, last,
    rows, length, heads, states, angles, batch_step, row_step,
    ROWS: tl.constexpr, PAIRS: tl.constexpr, SUMS: tl.constexpr, EPS: tl.constexpr,
    LEAST: tl.constexpr,
):  # fmt: skip
    row, batch, position, rest = _positions(rest, length, batch_step, row_step, ROWS)
    pair, inside, odd = _pairs(row, rows, states, PAIRS)
    B_even, B_odd, _ = _normed(rest, pair, inside, odd, states, EPS, SUMS)
    C_even, C_odd, _ = _normed(rest + states, pair, inside, odd, states, EPS, SUMS)
    there = row < rows
    for head in range(heads):
        place = row * heads + head
        turned = _angle(angle, total, batch, place, head, pair, inside, heads, angles, SUMS)
        cos, sin = tl.cos(turned), tl.sin(turned)
        at = place * states + 2 * pair
        even, other = _biased(B_even, B_odd, B_norm, B_bias, head, pair, states, SUMS)
        tl.store(B + at, even * cos - other * sin, mask=inside)
        tl.store(B + at + 1, even * sin + other * cos, mask=odd)
        even, other = _biased(C_even, C_odd, C_norm, C_bias, head, pair, states, SUMS)
        tl.store(C + at, even * cos - other * sin, mask=inside)
        tl.store(C + at + 1, even * sin + other * cos, mask=odd)
        end = inside & (pair < angles) & (position == length - 1)
        tl.store(last + (batch * heads + head) * angles + pair, turned, mask=end)
        logits = rest + 2 * states
        step, _ = _step(logits, dt_bias, head, there, SUMS)
        rate, _ = _rate(logits + heads + head, there, LEAST, SUMS)
        share = sigmoid(tl.load(logits + 2 * heads + head, mask=there, other=0.0).to(SUMS))
        after = there & (position < length - 1)
        following, _ = _step(logits + row_step, dt_bias, head, after, SUMS)
        logit = tl.load(logits + row_step + 2 * heads + head, mask=after, other=0.0).to(SUMS)
        coming = tl.where(after, following * (1 - sigmoid(logit)), 0.0)
        tl.store(log_decay + place, -step * rate, mask=there)
        tl.store(weight + place, share * step + coming, mask=there)
        tl.store(later + place, coming, mask=there)
        begin = there & (position == 0)
        tl.store(early + batch * heads + head, step * (1 - share), mask=begin)


@triton.jit
@no_type_check
def _write_gradients_of_rows(
    rest, angle, total, B_norm, C_norm, B_bias, C_bias,
    above_B, above_C, above_last, grad_rest, backwards, parts,
    rows, length, heads, states, angles, batch_step, row_step,
    ROWS: tl.constexpr, PAIRS: tl.constexpr, SUMS: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of B, of C and of angles, and what those of norms and biases are of."""
    row, batch, position, rest = _positions(rest, length, batch_step, row_step, ROWS)
    pair, inside, odd = _pairs(row, rows, states, PAIRS)
    B_even, B_odd, B_factor = _normed(rest, pair, inside, odd, states, EPS, SUMS)
    C_even, C_odd, C_factor = _normed(rest + states, pair, inside, odd, states, EPS, SUMS)
    to_B_even = tl.zeros((ROWS, PAIRS), SUMS)
    to_B_odd = to_B_even
    to_C_even = to_B_even
    to_C_odd = to_B_even
    parts += tl.program_id(0).to(tl.int64) * 2 * (heads + 1) * states
    whole = (heads + 1) * states
    # Where a row stands in the sequence from its end.
    mirrored = batch * length + length - 1 - position
    for head in range(heads):
        place = row * heads + head
        turned = _angle(angle, total, batch, place, head, pair, inside, heads, angles, SUMS)
        cos, sin = tl.cos(turned), tl.sin(turned)
        at = place * states + 2 * pair
        even, other = _biased(B_even, B_odd, B_norm, B_bias, head, pair, states, SUMS)
        by_even, by_odd = _turned_back(above_B, at, inside, odd, cos, sin, SUMS)
        by_angle = by_odd * even - by_even * other
        _put(parts + head * states, tl.sum(by_even, 0), tl.sum(by_odd, 0), pair, states)
        to_B_even += by_even
        to_B_odd += by_odd
        even, other = _biased(C_even, C_odd, C_norm, C_bias, head, pair, states, SUMS)
        by_even, by_odd = _turned_back(above_C, at, inside, odd, cos, sin, SUMS)
        by_angle += by_odd * even - by_even * other
        _put(parts + whole + head * states, tl.sum(by_even, 0), tl.sum(by_odd, 0), pair, states)
        to_C_even += by_even
        to_C_odd += by_odd
        turns = inside & (pair < angles)
        if above_last is not None:
            end = turns & (position == length - 1)
            ends = above_last + (batch * heads + head) * angles + pair
            by_angle += tl.load(ends, mask=end, other=0.0).to(SUMS)
        tl.store(backwards + (mirrored * heads + head) * angles + pair, by_angle, mask=turns)
    grad_rest += row * (2 * states + 3 * heads + angles)
    parts += heads * states
    _put(parts, tl.sum(to_B_even * B_even, 0), tl.sum(to_B_odd * B_odd, 0), pair, states)
    parts += whole
    _put(parts, tl.sum(to_C_even * C_even, 0), tl.sum(to_C_odd * C_odd, 0), pair, states)
    _write_unnormed(
        grad_rest, to_B_even, to_B_odd, B_even, B_odd, B_factor, B_norm, pair, inside, odd, states,
        SUMS,
    )  # fmt: skip
    _write_unnormed(
        grad_rest + states, to_C_even, to_C_odd, C_even, C_odd, C_factor, C_norm, pair, inside, odd,
        states, SUMS,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_gradients_of_steps(
    rest, dt_bias, above_decay, above_weight, above_later, above_early, by_angle, grad_rest, biases,
    rows, length, heads, states, angles, batch_step, row_step,
    ROWS: tl.constexpr, ANGLES: tl.constexpr, SUMS: tl.constexpr, LEAST: tl.constexpr,
):  # fmt: skip
    """Write the gradients of dt, A, share and what turns; by angles they lie from the end on."""
    row, batch, position, rest = _positions(rest, length, batch_step, row_step, ROWS)
    there, begin = row < rows, position == 0
    before = there & (position > 0)
    col = tl.arange(0, ANGLES)[None, :]
    turns = there & (col < angles)
    rest += 2 * states
    grad_rest += row * (2 * states + 3 * heads + angles) + 2 * states
    slant = tanh(tl.load(rest + 3 * heads + col, mask=turns, other=0.0).to(SUMS))
    to_turn = tl.zeros((ROWS, ANGLES), SUMS)
    mirrored = batch * length + length - 1 - position
    for head in range(heads):
        place = row * heads + head
        step, slope = _step(rest, dt_bias, head, there, SUMS)
        rate, bend = _rate(rest + heads + head, there, LEAST, SUMS)
        share = sigmoid(tl.load(rest + 2 * heads + head, mask=there, other=0.0).to(SUMS))
        by_decay = tl.zeros((ROWS, 1), SUMS)
        if above_decay is not None:
            by_decay += tl.load(above_decay + place, mask=there, other=0.0).to(SUMS)
        by_now = tl.zeros((ROWS, 1), SUMS)
        by_early = by_now
        if above_weight is not None:
            by_now += tl.load(above_weight + place, mask=there, other=0.0).to(SUMS)
            by_early += tl.load(above_weight + place - heads, mask=before, other=0.0).to(SUMS)
        if above_later is not None:
            by_early += tl.load(above_later + place - heads, mask=before, other=0.0).to(SUMS)
        if above_early is not None:
            firsts = above_early + batch * heads + head
            by_early += tl.load(firsts, mask=there & begin, other=0.0).to(SUMS)
        turned = by_angle + (mirrored * heads + head) * angles + col
        by_turn = tl.load(turned, mask=turns, other=0.0).to(SUMS) * (TURN / 2)
        to_turn += by_turn * step * (1 - slant * slant)
        by_step = by_now * share + by_early * (1 - share) - by_decay * rate
        by_step += tl.sum(by_turn * slant, 1)[:, None]
        by_logit = by_step * slope
        tl.store(grad_rest + head, by_logit, mask=there)
        tl.store(grad_rest + heads + head, -by_decay * step * bend, mask=there)
        by_share = (by_now - by_early) * step * share * (1 - share)
        tl.store(grad_rest + 2 * heads + head, by_share, mask=there)
        tl.store(biases + tl.program_id(0) * heads + head, tl.sum(by_logit))
    tl.store(grad_rest + 3 * heads + col, to_turn, mask=turns)


@triton.jit
@no_type_check
def _positions(rest, length, batch_step, row_step, ROWS: tl.constexpr):
    """Return a program's positions, counted over all sequences and in theirs, and what is there."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    batch, position = row // length, row % length
    return row, batch, position, rest + batch * batch_step + position * row_step


@triton.jit
@no_type_check
def _pairs(row, rows, states, PAIRS: tl.constexpr):
    """Return the pairs of a head, and which of their first and second numbers there are."""
    pair = tl.arange(0, PAIRS)[None, :]
    return pair, (row < rows) & (2 * pair < states), (row < rows) & (2 * pair + 1 < states)


@triton.jit
@no_type_check
def _normed(x, pair, inside, odd, states, EPS: tl.constexpr, SUMS: tl.constexpr):
    """Return pairs of a mean square of one, and what they were multiplied with."""
    even = tl.load(x + 2 * pair, mask=inside, other=0.0).to(SUMS)
    other = tl.load(x + 2 * pair + 1, mask=odd, other=0.0).to(SUMS)
    factor = 1 / tl.sqrt(tl.sum(even * even + other * other, 1) / states + EPS)[:, None]
    return even * factor, other * factor, factor


@triton.jit
@no_type_check
def _biased(even, other, norm, bias, head, pair, states, SUMS: tl.constexpr):
    """Return pairs of a head before they are turned."""
    even_scale, odd_scale = _both(norm, pair, states, SUMS)
    even_bias, odd_bias = _both(bias + head * states, pair, states, SUMS)
    return even * even_scale + even_bias, other * odd_scale + odd_bias


@triton.jit
@no_type_check
def _both(x, pair, states, SUMS: tl.constexpr):
    even = tl.load(x + 2 * pair, mask=2 * pair < states, other=0.0).to(SUMS)
    return even, tl.load(x + 2 * pair + 1, mask=2 * pair + 1 < states, other=0.0).to(SUMS)


@triton.jit
@no_type_check
def _angle(angle, total, batch, place, head, pair, inside, heads, angles, SUMS: tl.constexpr):
    """Return by how much the pairs of a head are turned, less whole turns."""
    there = inside & (pair < angles)
    turned = tl.load(total + place * angles + pair, mask=there, other=0.0)
    begin = angle + (batch * heads + head) * angles + pair
    turned += tl.load(begin, mask=there, other=0.0).to(tl.float64)
    return (turned - tl.floor(turned / TURN) * TURN).to(SUMS)


@triton.jit
@no_type_check
def _turned_back(above, at, inside, odd, cos, sin, SUMS: tl.constexpr):
    """Return the gradients of pairs before they were turned."""
    if above is not None:
        even = tl.load(above + at, mask=inside, other=0.0).to(SUMS)
        other = tl.load(above + at + 1, mask=odd, other=0.0).to(SUMS)
    else:
        even = cos * 0
        other = cos * 0
    return even * cos + other * sin, other * cos - even * sin


@triton.jit
@no_type_check
def _put(place, even, other, pair, states):
    """Write what a program adds to the gradient of a parameter."""
    tl.store(place + 2 * pair, even[None, :], mask=2 * pair < states)
    tl.store(place + 2 * pair + 1, other[None, :], mask=2 * pair + 1 < states)


@triton.jit
@no_type_check
def _write_unnormed(
    place, by_even, by_odd, even, other, factor, norm, pair, inside, odd, states, SUMS: tl.constexpr
):  # fmt: skip
    """Write gradients of what was normed."""
    even_scale, odd_scale = _both(norm, pair, states, SUMS)
    by_even, by_odd = by_even * even_scale, by_odd * odd_scale
    along = tl.sum(by_even * even + by_odd * other, 1)[:, None] / states
    tl.store(place + 2 * pair, (by_even - along * even) * factor, mask=inside)
    tl.store(place + 2 * pair + 1, (by_odd - along * other) * factor, mask=odd)


@triton.jit
@no_type_check
def _step(logits, dt_bias, head, inside, SUMS: tl.constexpr):
    """Return step sizes of a head, softplus(logit + bias), and their slopes."""
    logit = tl.load(logits + head, mask=inside, other=0.0).to(SUMS)
    logit += tl.load(dt_bias + head).to(SUMS)
    return tl.maximum(logit, 0.0) + log1p(tl.exp(-tl.abs(logit))), sigmoid(logit)


@triton.jit
@no_type_check
def _rate(logits, inside, LEAST: tl.constexpr, SUMS: tl.constexpr):
    """Return 1 + v above zero and 1 / (1 - v) below, LEAST at least, and the slopes."""
    logit = tl.load(logits, mask=inside, other=0.0).to(SUMS)
    below = 1 / (1 - tl.minimum(logit, 0.0))
    rate = tl.where(logit > 0, 1 + logit, below)
    slope = tl.where(rate < LEAST, 0.0, tl.where(logit > 0, 1.0, below * below))
    return tl.maximum(rate, LEAST), slope
