"""Linear maps of long sequences by the faster of torch's two libraries for matrix products.

torch multiplies float32 on processors by MKL, which leaves AVX-512 alone on those that Intel did
not make. oneDNN, which torch brings too and uses for bfloat16 and convolutions, does not: there it
takes half the time.

Axes: i inputs, o outputs.
"""

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from harness.api import private_torch

ROWS = 512
"""Vectors from which on a call of oneDNN, which looks its kernel up, costs no more than MKL's."""


def linear(
    x: Float[Tensor, "... i"],
    weight: Float[Tensor, "o i"],
    bias: Float[Tensor, " o"] | None = None,
) -> Float[Tensor, "... o"]:
    """Return weight x for each vector, by oneDNN where it may be faster.

    A bias is added in its own precision, which the result then has.
    """
    if _is_for_onednn(x, weight) and (bias is None or bias.dtype == x.dtype):
        return cast("Tensor", _Linear.apply(x, weight, bias))  # type: ignore[no-untyped-call]
    mapped = F.linear(x, weight)
    return mapped if bias is None else mapped.to(bias.dtype) + bias


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    """Say whether these are many float32 vectors on a processor, which nobody casts or traces."""
    return (
        x.numel() >= ROWS * x.shape[-1]
        and x.is_cpu
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()
    )


def _product(
    a: Float[Tensor, "... k"], b: Float[Tensor, "n k"], bias: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "... n"]:
    onednn = private_torch("torch.ops.mkldnn._linear_pointwise")
    return cast("Tensor", onednn(a, b, bias, "none", [], ""))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _product(grad, weight.mT)
        if ctx.needs_input_grad[1]:
            outputs, inputs = grad.flatten(0, -2).mT, x.flatten(0, -2).mT
            # The narrower one first: the other way round takes up to twice as long.
            narrow = len(outputs) <= len(inputs)
            grad_weight = _product(outputs, inputs) if narrow else _product(inputs, outputs).mT
        if ctx.needs_input_grad[2]:
            grad_bias = grad.flatten(0, -2).sum(0)
        return grad_x, grad_weight, grad_bias
