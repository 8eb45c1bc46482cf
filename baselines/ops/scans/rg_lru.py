"""What drives the real-gated linear recurrent unit: its decays, and what it adds to its states.

De et al. 2024, "Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient
Language Models", section 2.4: r and i are sigmoids of block-diagonal maps of x, the decay is
a = sigmoid(Lambda)^(c r), and sqrt(1 - a^2) i x is added.

Two forms: a kernel in Triton behind one product of matrices, and torch.

Axes: b batch, l length, s states, k blocks, i states of a block.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton

SHARPNESS = 8
"""c, the paper's constant in the exponent of the decay."""
STEEPEST = 1000.0
"""Largest slope of the square root that gradients see, as in the released code and Birdie."""


class Gates(NamedTuple):
    """The parameters of both gates and of the decays."""

    W_a: Float[Tensor, "k i i"]
    W_x: Float[Tensor, "k i i"]
    b_a: Float[Tensor, " s"]
    b_x: Float[Tensor, " s"]
    Lambda: Float[Tensor, " s"]


def rg_lru_drive(
    x: Float[Tensor, "b l s"], gates: Gates
) -> tuple[Float[Tensor, "b l s"], Float[Tensor, "b l s"]]:
    """Return decays, and what is added to the states, in the parameters' precision."""
    driven: tuple[Tensor, Tensor] = chosen(FORMS, x).run(x, gates)
    return driven


def torch_rg_lru_drive(
    x: Float[Tensor, "b l s"], gates: Gates
) -> tuple[Float[Tensor, "b l s"], Float[Tensor, "b l s"]]:
    """Return the same, an operator of torch after the other."""
    r = (_blockwise(x, gates.W_a) + gates.b_a).sigmoid()
    i = (_blockwise(x, gates.W_x) + gates.b_x).sigmoid()
    log_a = SHARPNESS * F.logsigmoid(gates.Lambda) * r
    drive: Tensor = _Root.apply(-torch.expm1(2 * log_a)) * i * x  # type: ignore[no-untyped-call]
    return log_a.exp(), drive


FORMS = triton("rg_lru_drive"), Form("torch", torch_rg_lru_drive)


def _blockwise(x: Float[Tensor, "b l s"], weight: Float[Tensor, "k i i"]) -> Float[Tensor, "b l s"]:
    """Multiply each block of features with its own matrix."""
    rows = x.flatten(0, 1).unflatten(-1, (len(weight), -1)).transpose(0, 1)
    y: Tensor = (rows @ weight).transpose(0, 1).reshape(x.shape)
    return y


class _Root(torch.autograd.Function):
    """The square root, whose slope is bounded where a decay rounds to one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        root = x.sqrt()
        ctx.save_for_backward(root)
        return root

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        slope: Tensor = (0.5 / root).clamp(max=STEEPEST)
        return grad * slope
