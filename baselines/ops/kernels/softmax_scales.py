"""The poles of DSS and the factors on its weights: one launch, and one for the gradient.

With z = dt A, or -dt A where A grows, R = e^z - 1, T = A (e^(Lz) - 1) and S the constant that keeps
reciprocals finite, the factor is R T* / (|T|^2 + S). All is float64; whole turns of Lz are taken
off before sines.

Axes: d channels, n modes.
"""

import math
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Complex128, Float, Float64
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.first_order_scan import reals
from baselines.ops.kernels.functions import expm1
from baselines.ops.kernels.launch import launch

SIZE = 128
"""Numbers of a program."""
SMALL = tl.constexpr(1e-7)
"""As in `baselines.ops.ssm.softmax_scales`."""
TURN = tl.constexpr(2 * math.pi)


def softmax_scales(
    decay: Float[Tensor, " n"],
    frequency: Float[Tensor, " n"],
    dt: Float64[Tensor, "d 1"],
    span: int,
) -> tuple[Complex128[Tensor, "d 2 n"], Complex128[Tensor, "d n"]]:
    """Return factors on weights, and poles; see `baselines.ops.ssm.softmax_scales`."""
    result: tuple[Tensor, Tensor] = _Scales.apply(decay, frequency, dt, span)  # type: ignore[no-untyped-call]
    return result


class _Scales(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, decay: Tensor, frequency: Tensor, dt: Tensor, span: int
    ) -> tuple[Tensor, Tensor]:
        pole = dt.new_empty(len(dt), len(decay), dtype=torch.complex128)
        scales = pole.new_empty(len(dt), 2, len(decay))
        ctx.save_for_backward(decay, frequency, dt)
        ctx.span = span
        _launch(_write_scales, decay, frequency, dt, span, reals(scales), reals(pole))
        return scales, pole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_scales: Tensor, grad_pole: Tensor) -> tuple[Tensor | None, ...]:
        decay, frequency, dt = ctx.saved_tensors
        grads = dt.new_empty(3, len(dt), len(decay))
        above = (reals(each.contiguous()) for each in (grad_scales, grad_pole))
        _launch(_write_gradients, decay, frequency, dt, ctx.span, *above, grads)
        by_decay, by_frequency = grads[:2].sum(1).to(decay.dtype)
        return by_decay, by_frequency, grads[2].sum(1, keepdim=True), None


def _launch(kernel: Any, decay: Tensor, frequency: Tensor, dt: Tensor, *rest: Any) -> None:
    """Run a kernel over all modes of all channels."""
    count = len(dt) * len(decay)
    given = decay.contiguous(), frequency.contiguous(), dt.contiguous(), *rest, count, len(decay)
    launch(kernel, (triton.cdiv(count, SIZE),), *given, SIZE=SIZE, num_warps=4)


@triton.jit
@no_type_check
def _write_scales(
    decay, frequency, dt, span, scales, pole, count, modes, SIZE: tl.constexpr
):  # fmt: skip
    at, inside, a_re, a_im, step = _read(decay, frequency, dt, count, modes, SIZE)
    p_re, p_im, r_re, r_im = _powers(step * a_re, step * a_im)
    t_re, t_im, _, _, _, _ = _total(a_re, a_im, step, span)
    size = t_re * t_re + t_im * t_im + SMALL
    re, im = (r_re * t_re + r_im * t_im) / size, (r_im * t_re - r_re * t_im) / size
    grows = a_re > 0
    place = (at // modes * 2 * modes + at % modes) * 2
    tl.store(scales + place, tl.where(grows, 0.0, re), mask=inside)
    tl.store(scales + place + 1, tl.where(grows, 0.0, im), mask=inside)
    tl.store(scales + place + 2 * modes, tl.where(grows, re, 0.0), mask=inside)
    tl.store(scales + place + 2 * modes + 1, tl.where(grows, im, 0.0), mask=inside)
    tl.store(pole + 2 * at, p_re, mask=inside)
    tl.store(pole + 2 * at + 1, p_im, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    decay, frequency, dt, span, grad_scales, grad_pole, grads, count, modes, SIZE: tl.constexpr
):  # fmt: skip
    at, inside, a_re, a_im, step = _read(decay, frequency, dt, count, modes, SIZE)
    p_re, p_im, r_re, r_im = _powers(step * a_re, step * a_im)
    t_re, t_im, q_re, q_im, e_re, e_im = _total(a_re, a_im, step, span)
    size = t_re * t_re + t_im * t_im + SMALL
    # Of both factors one is zero whatever the mode.
    part = tl.where(a_re > 0, modes, 0)
    place = (at // modes * 2 * modes + at % modes + part) * 2
    g_re = tl.load(grad_scales + place, mask=inside, other=0.0)
    g_im = tl.load(grad_scales + place + 1, mask=inside, other=0.0)
    # To R: g T / size. To T, by it and its conjugate: (S R g* - R* g T^2) / size^2.
    up_re, up_im = _product(g_re, g_im, t_re / size, t_im / size)
    c_re, c_im = _product(r_re, r_im, g_re, -g_im)
    u_re, u_im = t_re / size, t_im / size
    s_re, s_im = _product(u_re, u_im, u_re, u_im)
    d_re, d_im = _product(c_re, -c_im, s_re, s_im)
    to_T_re = SMALL * c_re / size / size - d_re
    to_T_im = SMALL * c_im / size / size - d_im
    # T = A E with E = e^(Lz) - 1, whose own slope is L (E + 1).
    to_A_re, to_A_im = _product(to_T_re, to_T_im, e_re, -e_im)
    to_E_re, to_E_im = _product(to_T_re, to_T_im, a_re, -a_im)
    z_re, z_im = _product(to_E_re, to_E_im, span * q_re, -span * q_im)
    up_re += tl.load(grad_pole + 2 * at, mask=inside, other=0.0)
    up_im += tl.load(grad_pole + 2 * at + 1, mask=inside, other=0.0)
    by_re, by_im = _product(up_re, up_im, p_re, -p_im)
    z_re, z_im = z_re + by_re, z_im + by_im
    sign = tl.where(a_re > 0, -1.0, 1.0)
    tl.store(grads + at, to_A_re + step * z_re, mask=inside)
    tl.store(grads + count + at, to_A_im + step * z_im, mask=inside)
    tl.store(grads + 2 * count + at, sign * (a_re * z_re + a_im * z_im), mask=inside)


@triton.jit
@no_type_check
def _read(decay, frequency, dt, count, modes, SIZE: tl.constexpr):
    """Return a program's numbers, which of them there are, A, and the step, back where A grows."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside = at < count
    re = tl.load(decay + at % modes, mask=inside, other=0.0).to(tl.float64)
    im = tl.load(frequency + at % modes, mask=inside, other=0.0).to(tl.float64)
    step = tl.load(dt + at // modes, mask=inside, other=0.0)
    return at, inside, re, im, tl.where(re > 0, -step, step)


@triton.jit
@no_type_check
def _powers(x, y):
    """Return e^z and e^z - 1."""
    y -= tl.floor(y / TURN + 0.5) * TURN
    grown, half = tl.exp(x), tl.sin(y / 2)
    im = grown * tl.sin(y)
    return grown * tl.cos(y), im, expm1(x) * tl.cos(y) - 2 * half * half, im


@triton.jit
@no_type_check
def _total(a_re, a_im, step, span):
    """Return A (e^(Lz) - 1), e^(Lz), and e^(Lz) - 1."""
    q_re, q_im, e_re, e_im = _powers(span * step * a_re, span * step * a_im)
    t_re, t_im = _product(a_re, a_im, e_re, e_im)
    return t_re, t_im, q_re, q_im, e_re, e_im


@triton.jit
@no_type_check
def _product(a_re, a_im, b_re, b_im):
    return a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re
