"""Taps of diagonal-plus-low-rank systems: two small tables, and one matrix product of them.

As in torch, K_{iM+j} = (C A^{iM}) (A^j B). There, A is squared and tables are doubled, two dozen
launches that grow in number with the length. Here a program walks through a table row by row with a
matrix at hand: the right table meets A, the left ones A^M, which their programs square from A. Both
have about sqrt(l) rows. Matrices and walks are float64, so that as many steps lose no digits, and
rows are rounded as they are written.

A real matrix holds all states of a channel, the real and imaginary parts of its modes in turn. It
is made from its parameters where it is needed: A = 2 X - 1, X = (1 - dt/2 (Lambda - 2 P P^T))^-1,
by one correction of rank one for each row of P (Sherman and Morrison).

The gradient walks back through both tables, and then through the squarings: the adjoint of f at A
is the derivative of f at A^T, and that of a square is E -> A^T E + E A^T. So it needs none of the
powers between, and nothing but arguments is held for it.

Axes: d channels, k readings of one channel, n modes, s = 2n states, r rank, i and j rows of tables.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Complex, Complex128, Float, Float64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.kernels.first_order_scan import reals
from baselines.ops.kernels.launch import launch
from baselines.ops.kernels.matrix_blocks import dot

LEAST = 16
"""States of a tile at least, which tensor cores ask for."""
WARPS = 8
"""Of a program, which holds matrices of 64 x 64 numbers in float64."""

System = tuple[Complex128[Tensor, "d n"], Complex128[Tensor, "d r n"], Complex128[Tensor, "d n"]]


def dplr_taps(
    system: System, C: Complex[Tensor, "d k n"], dt: Float64[Tensor, "d 1"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the first taps; see `baselines.ops.ssm.dplr`."""
    taps: Tensor = _Taps.apply(*system, C, dt, length)  # type: ignore[no-untyped-call]
    return taps


class _Taps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, pole: Tensor, P: Tensor, B: Tensor, C: Tensor, dt: Tensor, length: int
    ) -> Tensor:
        given = [part.resolve_conj().contiguous() for part in (pole, P, B, C, dt)]
        ctx.save_for_backward(*given)
        ctx.bits = (length - 1).bit_length() // 2
        ctx.count = -(-length >> ctx.bits)
        left, right = _tables(ctx, given)
        taps: Tensor = left.flatten(1, 2) @ right.mT
        return taps.view(*C.shape[:2], -1)[..., :length]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        given = list(ctx.saved_tensors)
        left, right = _tables(ctx, given)
        missing = ctx.count * right.shape[1] - grad.shape[-1]
        grad = (F.pad(grad, (0, missing)) if missing else grad).reshape(*left.shape[:3], -1)
        grad_left = grad.flatten(1, 2) @ right
        grad_right = grad.flatten(1, 2).mT @ left.flatten(1, 2)
        pole, P, B, _, dt = (reals(part) for part in given)
        channels, readings, _, states = left.shape
        by_matrix = dt.new_empty(channels, 1 + readings, states, states)
        by_drive, by = dt.new_empty(channels, states), [torch.empty_like(part) for part in given]
        by_pole, by_P, by_B, by_C, by_dt = (reals(part) for part in by)
        sizes = ctx.count, ctx.bits, readings
        walked = left, right, grad_left, grad_right, by_matrix, by_drive, by_C
        _launch(_write_adjoints, P, 1 + readings, pole, P, dt, *walked, *sizes)
        written = by_matrix, by_drive, by_pole, by_P, by_B, by_dt
        _launch(_write_slopes, P, 1, pole, P, B, dt, *written, readings)
        return *by, None


def _tables(ctx: Any, given: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return C A^{iM}, (d, k, i, s), and A^j B, (d, j, s), in the precision of C."""
    pole, P, B, C, dt = (reals(part) for part in given)
    channels, readings, modes, _ = C.shape
    left = C.new_empty(channels, readings, ctx.count, 2 * modes)
    right = C.new_empty(channels, 1 << ctx.bits, 2 * modes)
    sizes = ctx.count, ctx.bits, readings
    _launch(_write_tables, P, 1 + readings, pole, P, B, C, dt, left, right, *sizes)
    return left, right


def _launch(
    kernel: Any, P: Float64[Tensor, "d r n 2"], tables: int, *arguments: Tensor | int
) -> None:
    """Run a kernel with a program for each of a channel's tables."""
    channels, rank, modes, _ = P.shape
    size = max(LEAST, triton.next_power_of_2(2 * modes))
    constants = {"MODES": modes, "RANK": rank, "SIZE": size, "num_warps": WARPS}
    launch(kernel, (channels, tables), *arguments, **constants)


@triton.jit
@no_type_check
def _write_tables(
    pole, P, B, C, dt, left, right, count, bits, readings,
    MODES: tl.constexpr, RANK: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """Write the right table of a channel, or one of its left tables."""
    channel, table = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lane = tl.arange(0, SIZE)
    inside = lane < 2 * MODES
    inverse, step = inverted(pole, P, dt, channel, MODES, RANK, SIZE)
    matrix = discrete(inverse, MODES, SIZE)
    if table == 0:
        row = step * over(inverse, vector(B, channel, MODES, SIZE))
        at = right + (channel << bits) * (2 * MODES) + lane
        for _ in range(1 << bits):
            tl.store(at, row.to(right.dtype.element_ty), mask=inside)
            row = over(matrix, row)
            at += 2 * MODES
    else:
        for _ in range(bits):
            matrix = dot(matrix, matrix, "ieee")
        reading = channel * readings + table - 1
        row = reader(C, reading, MODES, SIZE)
        at = left + reading * count * (2 * MODES) + lane
        for _ in range(count):
            tl.store(at, row.to(left.dtype.element_ty), mask=inside)
            row = under(matrix, row)
            at += 2 * MODES


@triton.jit
@no_type_check
def _write_adjoints(
    pole, P, dt, left, right, grad_left, grad_right, by_matrix, by_drive, by_C,
    count, bits, readings, MODES: tl.constexpr, RANK: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """Write what a table gives the gradients of A, and of B after A, or of C."""
    channel, table = tl.program_id(0).to(tl.int64), tl.program_id(1)
    states: tl.constexpr = 2 * MODES
    lane = tl.arange(0, SIZE)
    inside = lane < states
    first = discrete(inverted(pole, P, dt, channel, MODES, RANK, SIZE)[0], MODES, SIZE)
    total = tl.zeros((SIZE, SIZE), tl.float64)
    adjoint = tl.zeros((SIZE,), tl.float64)
    if table == 0:
        last = (((channel + 1) << bits) - 1) * states + lane
        for back in range(1 << bits):
            row = tl.load(right + last - back * states, mask=inside, other=0.0).to(tl.float64)
            grad = tl.load(grad_right + last - back * states, mask=inside, other=0.0)
            total += adjoint[:, None] * row[None, :]
            adjoint = under(first, adjoint) + grad.to(tl.float64)
        tl.store(by_drive + channel * states + lane, adjoint, mask=inside)
    else:
        matrix = first
        for _ in range(bits):
            matrix = dot(matrix, matrix, "ieee")
        reading = channel * readings + table - 1
        last = ((reading + 1) * count - 1) * states + lane
        for back in range(count):
            row = tl.load(left + last - back * states, mask=inside, other=0.0).to(tl.float64)
            grad = tl.load(grad_left + last - back * states, mask=inside, other=0.0)
            total += row[:, None] * adjoint[None, :]
            adjoint = over(matrix, adjoint) + grad.to(tl.float64)
        adjoint *= tl.where(lane % 2 == 0, 2.0, -2.0)
        tl.store(by_C + reading * states + lane, adjoint.to(by_C.dtype.element_ty), mask=inside)
        turned = tl.trans(first)
        for _ in range(bits):
            total = dot(turned, total, "ieee") + dot(total, turned, "ieee")
            turned = dot(turned, turned, "ieee")
    by_matrix += (channel * (readings + 1) + table) * states * states
    both = inside[:, None] & inside[None, :]
    tl.store(by_matrix + lane[:, None] * states + lane[None, :], total, mask=both)


@triton.jit
@no_type_check
def _write_slopes(
    pole, P, B, dt, by_matrix, by_drive, by_pole, by_P, by_B, by_dt, readings,
    MODES: tl.constexpr, RANK: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """Write the gradients of a continuous system from those of the discrete one."""
    channel = tl.program_id(0).to(tl.int64)
    states: tl.constexpr = 2 * MODES
    lane = tl.arange(0, SIZE)
    inside = lane < states
    both = inside[:, None] & inside[None, :]
    inverse, step = inverted(pole, P, dt, channel, MODES, RANK, SIZE)
    by_matrix += channel * (readings + 1) * states * states
    grad = tl.zeros((SIZE, SIZE), tl.float64)
    for _ in range(readings + 1):
        at = by_matrix + lane[:, None] * states + lane[None, :]
        grad += tl.load(at, mask=both, other=0.0)
        by_matrix += states * states
    drive = tl.load(by_drive + channel * states + lane, mask=inside, other=0.0)
    entry = vector(B, channel, MODES, SIZE)
    by_step = tl.sum(drive * over(inverse, entry), 0)
    tl.store(by_B + channel * states + lane, step * under(inverse, drive), mask=inside)
    # The gradient of dt/2 times the continuous matrix.
    grad = 2 * grad + step * drive[:, None] * entry[None, :]
    turned = tl.trans(inverse)
    grad = dot(dot(turned, grad, "ieee"), turned, "ieee")
    rate, turn = parts(pole, channel, MODES, SIZE)
    row, column = lane[:, None], lane[None, :]
    itself, other = row == column, row == (column ^ 1)
    sign = tl.where(row % 2 == 0, -1.0, 1.0)
    by_rate = tl.sum(tl.where(itself, grad, 0.0), 1)
    by_turn = tl.sum(tl.where(other, grad * sign, 0.0), 1)
    by_step += tl.sum(by_rate * rate + by_turn * turn, 0) / 2
    scale = step / 2
    for rank in tl.static_range(RANK):
        p = vector(P, channel * RANK + rank, MODES, SIZE)
        slope = over(grad, p) + under(grad, p)
        by_step -= tl.sum(p * slope, 0) / 2
        at = by_P + (channel * RANK + rank) * states + lane
        tl.store(at, -2 * scale * slope, mask=inside)
    tl.store(by_dt + channel, by_step)
    by_pole += channel * states + lane
    tl.store(by_pole, scale * pairs(by_rate, SIZE), mask=inside & (lane % 2 == 0))
    tl.store(by_pole, scale * pairs(by_turn, SIZE), mask=inside & (lane % 2 == 1))


@triton.jit
@no_type_check
def inverted(
    pole, P, dt, channel, MODES: tl.constexpr, RANK: tl.constexpr, SIZE: tl.constexpr
):  # fmt: skip
    """Return X of a channel, one beyond its states, and its step size."""
    lane = tl.arange(0, SIZE)
    step = tl.load(dt + channel)
    rate, turn = parts(pole, channel, MODES, SIZE)
    rate, turn = 1 - step / 2 * rate, -step / 2 * turn
    square = rate * rate + turn * turn
    rate, turn = rate / square, -turn / square
    row, column = lane[:, None], lane[None, :]
    sign = tl.where(row % 2 == 0, -1.0, 1.0)
    matrix = tl.where(row == column, rate[:, None], 0.0)
    matrix = tl.where(row == (column ^ 1), sign * turn[:, None], matrix)
    for rank in tl.static_range(RANK):
        p = vector(P, channel * RANK + rank, MODES, SIZE)
        to, of = over(matrix, p), under(matrix, p)
        share = step / (1 + step * tl.sum(p * to, 0))
        matrix -= share * to[:, None] * of[None, :]
    return matrix, step


@triton.jit
@no_type_check
def discrete(inverse, MODES: tl.constexpr, SIZE: tl.constexpr):
    """Return the discrete matrix, zero beyond its states."""
    lane = tl.arange(0, SIZE)
    one = tl.where(lane[:, None] == lane[None, :], 1.0, 0.0)
    inside = (lane[:, None] < 2 * MODES) & (lane[None, :] < 2 * MODES)
    return tl.where(inside, 2 * inverse - one, 0.0)


@triton.jit
@no_type_check
def parts(x, row, MODES: tl.constexpr, SIZE: tl.constexpr):
    """Read the real and imaginary parts of modes, each at both states of its mode."""
    lane = tl.arange(0, SIZE)
    x += row * (2 * MODES) + lane // 2 * 2
    inside = lane < 2 * MODES
    return tl.load(x, mask=inside, other=0.0), tl.load(x + 1, mask=inside, other=0.0)


@triton.jit
@no_type_check
def vector(x, row, MODES: tl.constexpr, SIZE: tl.constexpr):
    """Read modes as states."""
    lane = tl.arange(0, SIZE)
    x += row * (2 * MODES) + lane
    return tl.load(x, mask=lane < 2 * MODES, other=0.0).to(tl.float64)


@triton.jit
@no_type_check
def reader(C, row, MODES: tl.constexpr, SIZE: tl.constexpr):
    """Read C as what the product with a state is 2 Re(C x)."""
    lane = tl.arange(0, SIZE)
    return vector(C, row, MODES, SIZE) * tl.where(lane % 2 == 0, 2.0, -2.0)


@triton.jit
@no_type_check
def over(matrix, x):
    """Multiply a column by a matrix."""
    return tl.sum(matrix * x[None, :], 1)


@triton.jit
@no_type_check
def under(matrix, x):
    """Multiply a row by a matrix."""
    return tl.sum(matrix * x[:, None], 0)


@triton.jit
@no_type_check
def pairs(x, SIZE: tl.constexpr):
    """Return the sums of both states of each mode, at both."""
    sums = tl.sum(tl.reshape(x, (SIZE // 2, 2)), 1)
    return tl.reshape(tl.broadcast_to(sums[:, None], (SIZE // 2, 2)), (SIZE,))
