"""Tables of powers of poles in one launch: each power from the logarithm, none from another.

pole^m has the size e^(m log|pole|), and turns m arg(pole) / (2 pi) times. Both products are
float64, and whole turns are taken off before anything is rounded: the phase of a long power is as
exact as that of a short one. Sines and exponentials are of the table's precision.

The gradient, the sum over m of m conj(pole^(m - 1)) times the table's, needs the logarithms only.

Axes: g sets of poles, n modes, c powers.
"""

import math
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Complex, Complex128
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.first_order_scan import reals
from baselines.ops.kernels.launch import launch as run

MODES = 32
"""Of a program."""
COUNT = 64
"""Powers of a program."""
TURN = tl.constexpr(2 * math.pi)
NOTHING = tl.constexpr(-1e30)


def powers(
    pole: Complex128[Tensor, "g n"], count: int, dtype: torch.dtype, step: int = 1
) -> Complex[Tensor, "g c n"]:
    """Return pole^0, pole^step and so on; see `baselines.ops.scans.powers`."""
    table: Tensor = _Powers.apply(pole, count, dtype, step)  # type: ignore[no-untyped-call]
    return table


class _Powers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pole: Tensor, count: int, dtype: torch.dtype, step: int) -> Tensor:
        logs = pole.log().contiguous()
        table = logs.new_empty(len(logs), count, logs.shape[1], dtype=dtype)
        launch(write_powers, logs, reals(table), step, CONJ=False)
        ctx.save_for_backward(logs)
        ctx.step = step
        return table

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (logs,) = ctx.saved_tensors
        parts = logs.new_empty(len(logs), triton.cdiv(grad.shape[1], COUNT), logs.shape[1])
        launch(write_slopes, logs, reals(grad.contiguous()), ctx.step, reals(parts), CONJ=False)
        return parts.sum(1), None, None, None


def launch(
    kernel: Any, logs: Tensor, table: Tensor, step: int, *rest: Tensor, **constants: Any
) -> None:
    """Run a kernel whose programs take some powers of some modes.

    Args:
        kernel: What it runs.
        logs: (g, n) complex128 logarithms of the poles.
        table: (r, c, n, 2) powers as pairs, a number of rows for each set of poles.
        step: By which exponents grow.
        rest: What else it takes.
        constants: What it is compiled for, beside sizes: CONJ, whether powers are conjugate.
    """
    rows, count, modes, _ = table.shape
    grid = triton.cdiv(count, COUNT), triton.cdiv(modes, MODES), rows
    given = reals(logs), table, *rest, count, modes, step, rows // len(logs)
    # Below, a power is zero, as in the other form.
    faint = math.log(torch.finfo(table.dtype).tiny) / 2
    constants |= {"FAINT": faint, "COUNT": COUNT, "MODES": MODES}
    run(kernel, grid, *given, **constants, num_warps=1)


@triton.jit
@no_type_check
def write_powers(
    logs, table, count, modes, step, shared,
    FAINT: tl.constexpr, CONJ: tl.constexpr, COUNT: tl.constexpr, MODES: tl.constexpr,
):  # fmt: skip
    """Write some powers of some modes, one after the other."""
    first, mode, inside, log, turns = lanes(logs, modes, shared, COUNT, MODES)
    table += ((tl.program_id(2).to(tl.int64) * count + first) * modes + mode) * 2
    for number in range(first, tl.minimum(first + COUNT, count)):
        exponent = (number * step).to(tl.float64)
        re, im = power(log, turns, exponent, FAINT, table.dtype.element_ty)
        tl.store(table, re, mask=inside)
        tl.store(table + 1, -im if CONJ else im, mask=inside)
        table += modes * 2


@triton.jit
@no_type_check
def write_slopes(
    logs, grad, parts, count, modes, step, shared,
    FAINT: tl.constexpr, CONJ: tl.constexpr, COUNT: tl.constexpr, MODES: tl.constexpr,
):  # fmt: skip
    """Write what some powers of some modes add to the gradients of the poles."""
    first, mode, inside, log, turns = lanes(logs, modes, shared, COUNT, MODES)
    row = tl.program_id(2).to(tl.int64)
    grad += ((row * count + first) * modes + mode) * 2
    sum_re = tl.zeros((MODES,), tl.float64)
    sum_im = sum_re
    for number in range(first, tl.minimum(first + COUNT, count)):
        exponent = (number * step).to(tl.float64)
        before = tl.maximum(exponent - 1, 0)
        re, im = power(log, turns, before, FAINT, grad.dtype.element_ty)
        g_re = tl.load(grad, mask=inside, other=0.0)
        g_im = tl.load(grad + 1, mask=inside, other=0.0)
        g_im = -g_im if CONJ else g_im
        sum_re += exponent * (re * g_re + im * g_im).to(tl.float64)
        sum_im += exponent * (re * g_im - im * g_re).to(tl.float64)
        grad += modes * 2
    parts += ((row * tl.num_programs(0) + tl.program_id(0)) * modes + mode) * 2
    tl.store(parts, sum_re, mask=inside)
    tl.store(parts + 1, sum_im, mask=inside)


@triton.jit
@no_type_check
def lanes(logs, modes, shared, COUNT: tl.constexpr, MODES: tl.constexpr):
    """Return a program's first power, its modes, which of them there are, and their logarithms."""
    mode = tl.program_id(1) * MODES + tl.arange(0, MODES)
    inside = mode < modes
    logs += (tl.program_id(2) // shared * modes + mode) * 2
    # Of a pole of zero, so that its power zero is one and every other one zero.
    log = tl.maximum(tl.load(logs, mask=inside, other=0.0), NOTHING)
    turns = tl.load(logs + 1, mask=inside, other=0.0) / TURN
    return tl.program_id(0) * COUNT, mode, inside, log, turns


@triton.jit
@no_type_check
def power(log, turns, exponent, FAINT: tl.constexpr, TYPE: tl.constexpr):
    """Return a power from the logarithm of its size and the turns of one factor."""
    size = exponent * log
    angle = exponent * turns
    angle = ((angle - tl.floor(angle + 0.5)) * TURN).to(TYPE)
    radius = tl.where(size < FAINT, 0.0, tl.exp(size.to(TYPE)))
    return radius * tl.cos(angle), radius * tl.sin(angle)
