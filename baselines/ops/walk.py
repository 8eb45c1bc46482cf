"""An element-wise linear recurrence, walked in memory that a cache holds: a scan's chunk in torch.

Axes: b batch, l length; any further axes are elements.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def walked(
    decay: Float[Tensor, "b l ..."], drive: Float[Tensor, "b l ..."], state: Float[Tensor, "b ..."]
) -> Float[Tensor, "b l ..."]:
    """Return all states h_t = decay_t h_{t-1} + drive_t that follow a first one."""
    states: Tensor = _Walk.apply(decay, drive, state)  # type: ignore[no-untyped-call]
    return states


class _Walk(torch.autograd.Function):
    """The recurrence in place, and its adjoint in place the other way."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor, state: Tensor) -> Tensor:
        h, last = drive.clone(), state
        for a, now in zip(decay.unbind(1), h.unbind(1), strict=True):
            last = now.addcmul_(a, last)
        ctx.save_for_backward(decay, h, state)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, h, state = ctx.saved_tensors
        adjoint, later = grad.clone(), torch.zeros_like(state)
        for a, now in zip(reversed(decay.unbind(1)), reversed(adjoint.unbind(1)), strict=True):
            later = a * now.add_(later)
        before = torch.cat([state[:, None], h[:, :-1]], 1)
        return adjoint * before, adjoint, later
