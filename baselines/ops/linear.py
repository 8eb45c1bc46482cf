"""Linear maps of long sequences by the faster of torch's two libraries for matrix products.

torch multiplies float32 on processors by MKL, which leaves AVX-512 alone on those that Intel did
not make. oneDNN, which torch brings too and uses for bfloat16 and convolutions, does not: there it
takes half the time.

Axes: i inputs, o outputs.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from harness.api import private_torch

ROWS = 512
"""Vectors from which on a call of oneDNN, which looks its kernel up, costs no more than MKL's."""


def linear(x: Float[Tensor, "... i"], weight: Float[Tensor, "o i"]) -> Float[Tensor, "... o"]:
    """Return weight x for each vector, by oneDNN where it may be faster."""
    if not _is_for_onednn(x, weight):
        return F.linear(x, weight)
    mapped: Tensor = _Linear.apply(x, weight)  # type: ignore[no-untyped-call]
    return mapped


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    """Say whether these are many vectors in float32 on a processor, and autocast leaves them so."""
    return (
        x.numel() >= ROWS * x.shape[-1]
        and x.is_cpu
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


def _product(a: Float[Tensor, "... k"], b: Float[Tensor, "n k"]) -> Float[Tensor, "... n"]:
    product: Tensor = private_torch("torch.ops.mkldnn._linear_pointwise")(
        a, b, None, "none", [], ""
    )
    return product


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _product(grad, weight.mT)
        if ctx.needs_input_grad[1]:
            outputs, inputs = grad.flatten(0, -2).mT, x.flatten(0, -2).mT
            # The narrower one first: the other way round takes up to twice as long.
            narrow = len(outputs) <= len(inputs)
            grad_weight = _product(outputs, inputs) if narrow else _product(inputs, outputs).mT
        return grad_x, grad_weight
