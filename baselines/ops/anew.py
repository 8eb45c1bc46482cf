"""What is computed once more for the gradient, parameters and all, instead of being kept.

torch's own checkpoint keeps the graph of what it forgets: some objects for every operator, which
for a loop over positions is more than the numbers themselves.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def made_anew(function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor) -> tuple[Tensor, ...]:
    """Call a function of tensors and keep only its inputs for the gradient.

    Args:
        function: Depends on nothing else that has a gradient, and returns the same every time.
        inputs: What it is called with.
    """
    outputs: tuple[Tensor, ...] = _Anew.apply(function, *inputs)  # type: ignore[no-untyped-call]
    return outputs


class _Anew(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*inputs)
        ctx.function = function
        return function(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        leaves = [x.detach().requires_grad_() for x in ctx.saved_tensors]
        with torch.enable_grad():
            made = ctx.function(*leaves)
        return None, *torch.autograd.grad(made, leaves, slopes)
