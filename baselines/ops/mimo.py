"""Diagonal systems of many inputs and outputs: x_l = pole x_{l-1} + B u_l, y_l = Re(C x_l) + D u_l.

All channels drive all modes, so there is no kernel a channel, but one scan over the modes between
two matrix products. Blocks of positions that stay in the processor's cache go through all three at
once: no state of the whole sequence is ever held, and the backward pass makes a block's states
again from the one at its border.

Axes: b batch, l length, d channels, n modes, k directions (the second reads the future).
"""

from typing import Any

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.mimo_block import Backward, passed, rows, states
from baselines.ops.scan import chunked, naive_scan, scan


def mimo(
    u: Float[Tensor, "b l d"],
    pole: Complex128[Tensor, " n"],
    B: Complex[Tensor, "n d"],
    C: Complex[Tensor, "k d n"],
    D: Float[Tensor, " d"],
    initial: Complex[Tensor, "b n"],
) -> tuple[Float[Tensor, "b l d"], Complex[Tensor, "b n"]]:
    """Run a system over a sequence.

    Args:
        u: Inputs, in any floating type; parameters and states keep their own.
        pole: The same at every position.
        B: Input matrix.
        C: Output matrix of the states that come from the past; a second one reads those that come
            from the future, with the same poles and B.
        D: Skip connection.
        initial: The state before the first position.

    Returns:
        The outputs, in the inputs' type, and the state after the last position.
    """
    if not u.shape[1]:
        return u, initial
    drive = torch.view_as_real(B.mT).flatten(1)
    # Re(c x) is the dot product of the real pairs of conj(c) and of x.
    read = torch.view_as_real(C.conj().resolve_conj()).flatten(2).mT
    # Parameters and states must not follow an activation into half precision.
    with torch.autocast(u.device.type, enabled=False):
        start = initial.to(torch.complex128)
        done: tuple[Tensor, Tensor] = _Mimo.apply(u, pole, drive, read, D, start)  # type: ignore[no-untyped-call]
    # Copied, since the last state is a view of a block of them, and steps work in its memory.
    return done[0], done[1].to(initial.dtype, copy=True)


def naive_mimo(
    u: Float[Tensor, "b l d"],
    pole: Complex128[Tensor, " n"],
    B: Complex[Tensor, "n d"],
    C: Complex[Tensor, "k d n"],
    D: Float[Tensor, " d"],
    initial: Complex[Tensor, "b n"],
) -> tuple[Float[Tensor, "b l d"], Complex[Tensor, "b n"]]:
    """Run a system over a sequence with all states at hand, the twin of `mimo`."""
    v = torch.einsum("nd,bld->bln", B, u.to(B.dtype))
    x = naive_scan(v, pole, initial)
    y = torch.einsum("dn,bln->bld", C[0], x).real + D * u
    for future in C[1:]:
        x_future = naive_scan(v.flip(1), pole, torch.zeros_like(initial)).flip(1)
        y = y + torch.einsum("dn,bln->bld", future, x_future).real
    return y.to(u.dtype), x[:, -1]


def varying_mimo(
    u: Float[Tensor, "b l d"],
    pole: Complex128[Tensor, "b l n"],
    gain: Complex128[Tensor, "b l n"],
    B: Complex[Tensor, "n d"],
    C: Complex[Tensor, "k d n"],
    D: Float[Tensor, " d"],
) -> Float[Tensor, "b l d"]:
    """Run a system from rest whose poles, and factors on B, differ from position to position.

    All states are held. A scan over reversed time meets every position with its own pole.
    """
    rest = B.new_zeros(len(u), len(B))
    with torch.autocast(u.device.type, enabled=False):
        v = (u.to(B.dtype) @ B.mT) * gain.to(B.dtype)
        y = (scan(v, pole, rest) @ C[0].mT).real
        for future in C[1:]:
            y = y + (scan(v.flip(1), pole.flip(1), rest).flip(1) @ future.mT).real
        return (y + D * u).to(u.dtype)


class _Mimo(torch.autograd.Function):
    """Saves the states at the borders of blocks, and no others."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 - all that it depends on
        ctx: Any,
        u: Tensor,
        pole: Tensor,
        drive: Tensor,
        read: Tensor,
        skip: Tensor,
        initial: Tensor,
    ) -> tuple[Tensor, Tensor]:
        y, borders, last = torch.empty_like(u), [], initial
        chunks = chunked(pole, drive.dtype.to_complex())
        for k, matrix in enumerate(read):
            border = torch.zeros_like(initial) if k else initial
            for piece in passed(u, len(pole), future=k > 0):
                borders.append(border)
                seen = piece.of(u, drive.dtype)
                x = states(seen, drive, chunks, border)
                border = x[:, -1].to(border.dtype)
                out = (rows(x) @ matrix).view(seen.shape)
                piece.put(out if k else out.addcmul_(seen, skip), y, add=k > 0)
            last = last if k else border
        ctx.save_for_backward(u, pole, drive, read, skip, torch.stack(borders))
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_last: Tensor) -> tuple[Tensor, ...]:
        u, pole, drive, read, skip, borders = ctx.saved_tensors
        back = Backward(pole, drive, read, skip)
        grad_u, border = torch.empty_like(u), len(borders)
        for k in range(len(read) - 1, -1, -1):
            back.turn(torch.zeros_like(grad_last) if k else grad_last)
            for piece in reversed(passed(u, len(pole), future=k > 0)):
                border -= 1
                seen, grad = piece.of(u, drive.dtype), piece.of(grad_y, drive.dtype)
                grad_seen = back.through(k, seen, grad, borders[border])
                piece.put(grad_seen, grad_u, add=k < len(read) - 1)
        return grad_u, *back.gradients, back.adjoint * pole.conj()
