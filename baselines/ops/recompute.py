"""A recurrence over long sequences whose gradient computes each piece anew.

Only the inputs and the states between pieces outlive the forward pass, so what one piece needs
inside is held once however long the sequence is. Axes: b batch, l length.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Recurrence = Callable[..., tuple[Tensor, Tensor]]
"""Maps a state and the (b, l, ...) inputs of some positions to (b, l, ...) outputs and a state."""


def in_pieces(
    recurrence: Recurrence, rows: int, state: Tensor, inputs: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Run a recurrence over pieces of so many positions, each from the state the last one left.

    Args:
        recurrence: Differentiable in the state and in every input.
        rows: Positions of a piece.
        state: (b, ...) before the first position.
        inputs: (b, l, ...) each.

    Returns:
        (b, l, ...) outputs and the state after the last position.
    """
    outputs: tuple[Tensor, Tensor] = _InPieces.apply(recurrence, rows, state, *inputs)  # type: ignore[no-untyped-call]
    return outputs


class _InPieces(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, recurrence: Recurrence, rows: int, state: Tensor, *inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        states, whole, start = [], None, 0
        for piece in zip(*(x.split(rows, 1) for x in inputs), strict=True):
            states.append(state)
            output, state = recurrence(state, *piece)
            # Written where it belongs at once: joining all pieces at the end would hold them twice.
            if whole is None:
                length = inputs[0].shape[1]
                whole = output.new_empty(len(output), length, *output.shape[2:])
            whole[:, start : start + output.shape[1]] = output
            start += output.shape[1]
        ctx.save_for_backward(*inputs, *states)
        ctx.recurrence, ctx.rows, ctx.count = recurrence, rows, len(inputs)
        return cast("Tensor", whole), state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, state_grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, states = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        gradients = [torch.empty_like(x) for x in inputs]
        pieces = [x.split(ctx.rows, 1) for x in (grad, *inputs, *gradients)]
        for state, (above, *both) in zip(
            states[::-1], list(zip(*pieces, strict=True))[::-1], strict=True
        ):
            leaves = [x.detach().requires_grad_() for x in (state, *both[: ctx.count])]
            with torch.enable_grad():
                made = ctx.recurrence(*leaves)
            state_grad, *below = torch.autograd.grad(made, leaves, (above, state_grad))
            for gradient, found in zip(both[ctx.count :], below, strict=True):
                gradient.copy_(found)
        return None, None, state_grad, *gradients
