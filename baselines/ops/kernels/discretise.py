"""Discretisation of diagonal systems, number by number: one launch, and one for the gradient.

In torch it is twenty of them around a few thousand complex numbers. All is float64.

Axes: r rows of step sizes, n modes.
"""

from typing import Any, Literal, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Complex128, Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.first_order_scan import reals
from baselines.ops.kernels.functions import expm1
from baselines.ops.kernels.launch import launch

SIZE = 128
"""Numbers of a program."""


def discretise(
    A: Complex128[Tensor, "... n"], dt: Float64[Tensor, "*axes _"], disc: Literal["zoh", "bilinear"]
) -> tuple[Complex128[Tensor, "*axes n"], Complex128[Tensor, "*axes n"]]:
    """Return poles, and factors on B; see `baselines.ops.ssm.discretisation`."""
    A, dt = torch.broadcast_tensors(A, dt)
    result: tuple[Tensor, Tensor] = _Discretise.apply(A, dt, disc)  # type: ignore[no-untyped-call]
    return result


class _Discretise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, A: Tensor, dt: Tensor, disc: str) -> tuple[Tensor, Tensor]:
        pole, gain = (A.new_empty(A.shape) for _ in range(2))
        _launch(_write_systems, A, dt, disc, pole, gain)
        ctx.save_for_backward(A, dt)
        ctx.disc = disc
        return pole, gain

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_pole: Tensor, grad_gain: Tensor) -> tuple[Tensor, Tensor, None]:
        A, dt = ctx.saved_tensors
        grad_A, grad_dt = A.new_empty(A.shape), dt.new_empty(dt.shape)
        grads = grad_pole.contiguous(), grad_gain.contiguous()
        _launch(_write_gradients, A, dt, ctx.disc, *grads, grad_A, grad_dt)
        return grad_A, grad_dt, None


def _launch(kernel: Any, A: Tensor, dt: Tensor, disc: str, *rest: Tensor) -> None:
    """Run a kernel over all numbers; A and the step sizes may be expanded, the rest is not."""
    modes = A.shape[-1]
    A, dt = reals(A).reshape(-1, modes, 2), dt.reshape(-1, modes)
    strides = *A.stride()[:2], *dt.stride()
    given = A, dt, *map(reals, rest), dt.numel(), modes, *strides
    grid = (triton.cdiv(dt.numel(), SIZE),)
    launch(kernel, grid, *given, HOLD=disc == "zoh", SIZE=SIZE, num_warps=4)


@triton.jit
@no_type_check
def _write_systems(
    A, dt, pole, gain, count, modes, A_row, A_mode, dt_row, dt_mode,
    HOLD: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    place, inside, a_re, a_im, step = _read(
        A, dt, count, modes, A_row, A_mode, dt_row, dt_mode, SIZE
    )
    p_re, p_im, g_re, g_im = _system(a_re, a_im, step, HOLD)
    tl.store(pole + place, p_re, mask=inside)
    tl.store(pole + place + 1, p_im, mask=inside)
    tl.store(gain + place, g_re, mask=inside)
    tl.store(gain + place + 1, g_im, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    A, dt, grad_pole, grad_gain, grad_A, grad_dt, count, modes, A_row, A_mode, dt_row, dt_mode,
    HOLD: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    place, inside, a_re, a_im, step = _read(
        A, dt, count, modes, A_row, A_mode, dt_row, dt_mode, SIZE
    )
    p_re, p_im, g_re, g_im = _system(a_re, a_im, step, HOLD)
    to_p_re = tl.load(grad_pole + place, mask=inside, other=0.0)
    to_p_im = tl.load(grad_pole + place + 1, mask=inside, other=0.0)
    to_g_re = tl.load(grad_gain + place, mask=inside, other=0.0)
    to_g_im = tl.load(grad_gain + place + 1, mask=inside, other=0.0)
    # The slopes of the pole and of the gain to z = dt A, then the gain's own to A or to dt.
    if HOLD:
        s_re, s_im = p_re, p_im
        t_re, t_im = _quotient(p_re, p_im, a_re, a_im)
        own_re, own_im = _quotient(-g_re, -g_im, a_re, a_im)
    else:
        own_re, own_im = _quotient(1.0, 0.0, 1 - step * a_re / 2, -step * a_im / 2)
        s_re, s_im = _product(own_re, own_im, own_re, own_im)
        t_re, t_im = step * s_re / 2, step * s_im / 2
    z_re, z_im = _product(to_p_re, to_p_im, s_re, -s_im)
    by_re, by_im = _product(to_g_re, to_g_im, t_re, -t_im)
    z_re, z_im = z_re + by_re, z_im + by_im
    own_re, own_im = _product(to_g_re, to_g_im, own_re, -own_im)
    to_A_re, to_A_im = step * z_re, step * z_im
    to_dt = a_re * z_re + a_im * z_im
    if HOLD:
        to_A_re, to_A_im = to_A_re + own_re, to_A_im + own_im
    else:
        to_dt += own_re
    tl.store(grad_A + place, to_A_re, mask=inside)
    tl.store(grad_A + place + 1, to_A_im, mask=inside)
    tl.store(grad_dt + place // 2, to_dt, mask=inside)


@triton.jit
@no_type_check
def _read(A, dt, count, modes, A_row, A_mode, dt_row, dt_mode, SIZE: tl.constexpr):
    """Return where a program's numbers lie, which of them there are, and what they are."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside = at < count
    row, mode = at // modes, at % modes
    A += row * A_row + mode * A_mode
    re = tl.load(A, mask=inside, other=1.0)
    im = tl.load(A + 1, mask=inside, other=0.0)
    step = tl.load(dt + row * dt_row + mode * dt_mode, mask=inside, other=1.0)
    return at * 2, inside, re, im, step


@triton.jit
@no_type_check
def _system(a_re, a_im, step, HOLD: tl.constexpr):
    """Return pole and gain."""
    x, y = step * a_re, step * a_im
    if HOLD:
        grown, half = tl.exp(x), tl.sin(y / 2)
        p_re, p_im = grown * tl.cos(y), grown * tl.sin(y)
        # e^z - 1, of whose real part cos(y) - 1 would leave few digits.
        g_re, g_im = _quotient(expm1(x) * tl.cos(y) - 2 * half * half, p_im, a_re, a_im)
    else:
        p_re, p_im = _quotient(1 + x / 2, y / 2, 1 - x / 2, -y / 2)
        g_re, g_im = _quotient(step, 0.0, 1 - x / 2, -y / 2)
    return p_re, p_im, g_re, g_im


@triton.jit
@no_type_check
def _product(a_re, a_im, b_re, b_im):
    return a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re


@triton.jit
@no_type_check
def _quotient(a_re, a_im, b_re, b_im):
    square = b_re * b_re + b_im * b_im
    return (a_re * b_re + a_im * b_im) / square, (a_im * b_re - a_re * b_im) / square
