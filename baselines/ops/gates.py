"""Position-wise maps around a scan that keep nothing for the gradient but what is there anyway.

Axes: any.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from harness.api import private_torch

BLOCK = 1 << 17
"""Numbers that are mapped together: what is made on the way stays in the cache."""


def gated(y: Float[Tensor, "..."], z: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return y SiLU(z) in the precision of y; the gate's value is made anew for the gradient."""
    product: Tensor = _Gated.apply(y, z.to(y.dtype))  # type: ignore[no-untyped-call]
    return product


def softplus(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return log(1 + e^x), whose derivative 1 - e^-y it takes from its result y."""
    y: Tensor = _Softplus.apply(x)  # type: ignore[no-untyped-call]
    return y


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, z: Tensor) -> Tensor:
        ctx.save_for_backward(y, z)
        product = _blank(y)
        for out, a, b in _blocks(product, y, z):
            torch.mul(a, F.silu(b), out=out)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        y, z = ctx.saved_tensors
        grad_y, grad_z = _blank(y), _blank(z)
        silu_backward = private_torch("torch.ops.aten.silu_backward")
        for out_y, out_z, g, a, b in _blocks(grad_y, grad_z, grad, y, z):
            torch.mul(g, F.silu(b), out=out_y)
            out_z.copy_(silu_backward(g * a, b))
        return grad_y, grad_z


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        # torch's own turns linear at 20, where float64 would still see the difference.
        y = F.softplus(x, threshold=40)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        grad_x = _blank(y)
        for out, g, a in _blocks(grad_x, grad, y):
            torch.mul(g, a.neg().expm1_().neg_(), out=out)
        return grad_x


def _blank(like: Tensor) -> Tensor:
    """Return room for as many numbers, end to end whatever the order of the others."""
    return torch.empty_like(like, memory_format=torch.contiguous_format)


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the same piece of all tensors, the outputs first, which are contiguous."""
    return zip(*(tensor.reshape(-1).split(BLOCK) for tensor in tensors), strict=True)
