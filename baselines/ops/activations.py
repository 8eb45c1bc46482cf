"""What stands before and behind Mamba's scan: softplus, and a gate; each one pass over memory.

Two forms: compiled for processors, and torch.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.forms import on_gpu
from baselines.ops.scans import native
from harness.api import private_torch

BLOCK = 1 << 17
"""Numbers that torch maps together: what they make on the way stays in the cache."""


def gated(y: Float[Tensor, "..."], z: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return y SiLU(z) in the precision of y; the gate's value is recomputed for the gradient."""
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
        product = _empty(y)
        if _is_compiled(y):
            _call("gate_forward", out=product, a=y, b=z)
            return product
        for out, a, b in _blocks(product, y, z):
            torch.mul(a, F.silu(b), out=out)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        y, z = ctx.saved_tensors
        grad_y, grad_z = _empty(y), _empty(z)
        if _is_compiled(y):
            _call("gate_backward", out=grad_y, second=grad_z, a=y, b=z, grad=grad)
            return grad_y, grad_z
        silu_backward = private_torch("torch.ops.aten.silu_backward")
        for out_y, out_z, g, a, b in _blocks(grad_y, grad_z, grad, y, z):
            torch.mul(g, F.silu(b), out=out_y)
            out_z.copy_(silu_backward(g * a, b))
        return grad_y, grad_z


class _Softplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if _is_compiled(x):
            _call("softplus_forward", out=(y := _empty(x)), a=x)
        else:
            # torch's own turns linear at 20, where float64 would still see the difference.
            y = F.softplus(x, threshold=40)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        grad_x = _empty(y)
        if _is_compiled(y):
            _call("softplus_backward", out=grad_x, a=y, grad=grad)
            return grad_x
        for out, g, a in _blocks(grad_x, grad, y):
            torch.mul(g, a.neg().expm1_().neg_(), out=out)
        return grad_x


def _empty(like: Tensor) -> Tensor:
    """Return room for as many numbers, end to end whatever the order of the others."""
    return torch.empty_like(like, memory_format=torch.contiguous_format)


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the same piece of all tensors, the outputs first, which are contiguous.

    On a GPU all is one piece: what is made on the way stays in no cache, and launches cost more.
    """
    if on_gpu(tensors[0]):
        return iter([tensors])
    return zip(*(tensor.reshape(-1).split(BLOCK) for tensor in tensors), strict=True)


def _is_compiled(x: Tensor) -> bool:
    return x.is_cpu and x.dtype in (torch.float32, torch.float64) and bool(native.level())


def _call(name: str, *, out: Tensor, second: Tensor | None = None, **inputs: Tensor) -> None:
    """Call the library with the addresses of all arrays that there are."""
    precision = str(out.dtype).removeprefix("torch.")
    arrays = {name: each.to(out.dtype).contiguous() for name, each in inputs.items()}
    arrays |= {"out": out} if second is None else {"out": out, "second": second}
    sizes = native.LEVELS.index(native.level()), torch.get_num_threads(), out.numel()
    addresses = {name: array.data_ptr() for name, array in arrays.items()}
    function = getattr(native.library(), f"{name}_{precision}")
    function(ctypes.byref(native.Map(*sizes, **addresses)))
