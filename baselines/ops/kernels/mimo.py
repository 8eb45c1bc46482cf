"""A diagonal system of many inputs and outputs: a scan in Triton between two matrix products.

All states are held while they are needed and computed again for the gradient, from those before
chunks.

Axes: b batch, l length, d channels, n modes, m = 2n real and imaginary parts, k directions (the
second reads the future).
"""

from typing import Any

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.first_order_scan import gradients, reals, write_states


def mimo(
    u: Float[Tensor, "b l d"],
    pole: Complex128[Tensor, " n"],
    drive: Float[Tensor, "d m"],
    read: Float[Tensor, "k m d"],
    skip: Float[Tensor, " d"],
    initial: Complex128[Tensor, "b n"],
) -> tuple[Float[Tensor, "b l d"], Complex[Tensor, "b n"]]:
    """Return outputs, and the last states of the first direction; see `baselines.ops.ssm.mimo`."""
    result: tuple[Tensor, Tensor] = _Mimo.apply(u, pole, drive, read, skip, initial)  # type: ignore[no-untyped-call]
    return result


class _Mimo(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        pole: Tensor,
        drive: Tensor,
        read: Tensor,
        skip: Tensor,
        initial: Tensor,
    ) -> tuple[Tensor, Tensor]:
        inputs = u.to(drive.dtype)
        driven, y, starts, last = _driven(inputs, drive), inputs * skip, [], initial
        for k, matrix in enumerate(read):
            x = driven if k == len(read) - 1 else torch.empty_like(driven)
            begin = torch.zeros_like(initial) if k else initial
            starts.append(write_states(pole, driven, begin, x, reverse=k > 0))
            y.view(-1, y.shape[-1]).addmm_(_rows(x), matrix)
            last = last if k else x[:, -1].clone()
        ctx.save_for_backward(u, pole, drive, read, skip, initial, *starts)
        # Nobody asks for the gradient of the last state while training.
        ctx.set_materialize_grads(False)
        return y.to(u.dtype), last

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_y: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        u, pole, drive, read, skip, initial, *starts = ctx.saved_tensors
        grad_y = torch.zeros_like(u) if grad_y is None else grad_y
        inputs, grad = u.to(drive.dtype), grad_y.to(drive.dtype).contiguous()
        driven, grad_read, grad_pole = _driven(inputs, drive), torch.empty_like(read), None
        grad_inputs, grad_drive, grad_initial = grad * skip, torch.empty_like(drive), None
        for k, matrix in enumerate(read):
            x = driven if k == len(read) - 1 else torch.empty_like(driven)
            begin = torch.zeros_like(initial) if k else initial
            write_states(pole, driven, begin, x, reverse=k > 0, starts=starts[k])
            torch.mm(_rows(x).mT, grad.flatten(0, 1), out=grad_read[k])
            above = _driven(grad, matrix.mT)
            if not k and grad_last is not None:
                above[:, -1] += grad_last
            part, adjoint = gradients(pole, x, begin, above, reverse=k > 0)
            grad_pole = part if grad_pole is None else grad_pole + part
            if not k and ctx.needs_input_grad[5]:
                grad_initial = adjoint[:, 0].to(pole.dtype) * pole.conj()
            grad_drive.addmm_(inputs.flatten(0, 1).mT, _rows(adjoint), beta=int(k > 0))
            grad_inputs.view(-1, drive.shape[0]).addmm_(_rows(adjoint), drive.mT)
        grad_skip = (inputs * grad).sum((0, 1))
        return grad_inputs.to(u.dtype), grad_pole, grad_drive, grad_read, grad_skip, grad_initial


def _driven(inputs: Tensor, matrix: Tensor) -> Tensor:
    """Return (b, l, n) complex products."""
    return torch.view_as_complex((inputs @ matrix).unflatten(-1, (-1, 2)))


def _rows(x: Tensor) -> Tensor:
    """Return complex states as rows of real pairs."""
    return reals(x).flatten(2).flatten(0, 1)
