"""The product of complex parameters and factors that may be shared: a launch, one for its gradient.

In torch its gradient is two conjugate copies, two products, and casts between precisions.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Complex
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.first_order_scan import reals
from baselines.ops.kernels.launch import launch

SIZE = 128
"""Numbers of a program."""
AXES = 4
"""At most."""


def scaled(x: Complex[Tensor, "..."], factor: Complex[Tensor, "..."]) -> Complex[Tensor, "..."]:
    """Return x times factors; see `baselines.ops.ssm.complex_parameters`."""
    product: Tensor = _Scaled.apply(*torch.broadcast_tensors(x, factor))  # type: ignore[no-untyped-call]
    return product


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(x, factor)
        product = x.new_empty(x.shape)
        _launch(_write_products, x, factor, product)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, factor = ctx.saved_tensors
        grad_x, grad_factor = x.new_empty(x.shape), factor.new_empty(x.shape)
        grad = grad.resolve_conj().contiguous()
        _launch(_write_gradients, x, factor, grad, grad_x, grad_factor)
        return grad_x, grad_factor


def _launch(kernel: Any, x: Tensor, factor: Tensor, *rest: Tensor) -> None:
    """Run a kernel over all numbers; the first two may be expanded, the rest is not."""
    lead = (None,) * (AXES - x.ndim)
    both = [reals(each[lead]) for each in (x, factor)]
    sizes = both[0].shape
    strides = (stride for each in both for stride in each.stride()[:AXES])
    given = *both, *map(reals, rest), x.numel(), *sizes[1:AXES], *strides
    launch(kernel, (triton.cdiv(x.numel(), SIZE),), *given, SIZE=SIZE, num_warps=4)


@triton.jit
@no_type_check
def _write_products(
    x, factor, product,
    count, n_1, n_2, n_3, x_0, x_1, x_2, x_3, f_0, f_1, f_2, f_3, SIZE: tl.constexpr
):  # fmt: skip
    at, inside = _places(count, SIZE)
    x_re, x_im = _read(x, at, inside, n_1, n_2, n_3, x_0, x_1, x_2, x_3)
    f_re, f_im = _read(factor, at, inside, n_1, n_2, n_3, f_0, f_1, f_2, f_3)
    f_re, f_im = f_re.to(x_re.dtype), f_im.to(x_re.dtype)
    tl.store(product + 2 * at, x_re * f_re - x_im * f_im, mask=inside)
    tl.store(product + 2 * at + 1, x_re * f_im + x_im * f_re, mask=inside)


@triton.jit
@no_type_check
def _write_gradients(
    x, factor, grad, grad_x, grad_factor,
    count, n_1, n_2, n_3, x_0, x_1, x_2, x_3, f_0, f_1, f_2, f_3, SIZE: tl.constexpr
):  # fmt: skip
    at, inside = _places(count, SIZE)
    x_re, x_im = _read(x, at, inside, n_1, n_2, n_3, x_0, x_1, x_2, x_3)
    f_re, f_im = _read(factor, at, inside, n_1, n_2, n_3, f_0, f_1, f_2, f_3)
    f_re, f_im = f_re.to(x_re.dtype), f_im.to(x_re.dtype)
    g_re = tl.load(grad + 2 * at, mask=inside, other=0.0)
    g_im = tl.load(grad + 2 * at + 1, mask=inside, other=0.0)
    tl.store(grad_x + 2 * at, g_re * f_re + g_im * f_im, mask=inside)
    tl.store(grad_x + 2 * at + 1, g_im * f_re - g_re * f_im, mask=inside)
    tl.store(grad_factor + 2 * at, g_re * x_re + g_im * x_im, mask=inside)
    tl.store(grad_factor + 2 * at + 1, g_im * x_re - g_re * x_im, mask=inside)


@triton.jit
@no_type_check
def _places(count, SIZE: tl.constexpr):
    """Return a program's numbers, and which of them there are."""
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    return at, at < count


@triton.jit
@no_type_check
def _read(x, at, inside, n_1, n_2, n_3, x_0, x_1, x_2, x_3):
    """Read complex numbers by their place in the order of what is returned."""
    row = at // n_3
    x += row // n_2 // n_1 * x_0 + row // n_2 % n_1 * x_1 + row % n_2 * x_2 + at % n_3 * x_3
    return tl.load(x, mask=inside, other=0.0), tl.load(x + 1, mask=inside, other=0.0)
