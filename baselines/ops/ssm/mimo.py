"""Diagonal systems of many inputs and outputs: x_l = pole x_{l-1} + B u_l, y_l = Re(C x_l) + D u_l.

All channels drive all modes, so there is no kernel a channel, but one scan over the modes between
two matrix products. One form has the scan in Triton. In torch, blocks of positions that stay in the
processor's cache go through all three at once: no state of the whole sequence is ever held, and the
backward pass recomputes a block's states from the one at its boundary.

Axes: b batch, l length, p positions of a block, d channels, n modes, m = 2n real and imaginary
parts, k directions (the second reads the future).
"""

from typing import Any, NamedTuple, final

import torch
from jaxtyping import Complex, Complex128, Float, Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans.diagonal_scan import (
    CHUNK,
    ChunkedPoles,
    chunk_poles,
    diagonal_scan,
    naive_diagonal_scan,
    scan_in_place,
)

BLOCK = 1 << 17
"""States of a block: 1 MB in float32, so that what it needs fits into a core's second cache."""


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
    if not u.numel():
        return u, initial
    drive = torch.view_as_real(B.mT).flatten(1)
    # Re(c x) is the dot product of the real pairs of conj(c) and of x.
    read = torch.view_as_real(C.conj().resolve_conj()).flatten(2).mT
    # Parameters and states must not follow an activation into half precision.
    with torch.autocast(u.device.type, enabled=False):
        start = initial.to(torch.complex128)
        result: tuple[Tensor, Tensor] = chosen(FORMS, D).run(u, pole, drive, read, D, start)
    # Copied, since the last state is a view of a block of them, and steps work in its memory.
    return result[0], result[1].to(initial.dtype, copy=True)


def _blocked(*arguments: Tensor) -> tuple[Tensor, Tensor]:
    """Run a system in torch, block by block."""
    result: tuple[Tensor, Tensor] = _Mimo.apply(*arguments)  # type: ignore[no-untyped-call]
    return result


FORMS = triton("mimo"), Form("chunked-scan", _blocked)


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
    x = naive_diagonal_scan(v, pole, initial)
    y = torch.einsum("dn,bln->bld", C[0], x).real + D * u
    for future in C[1:]:
        x_future = naive_diagonal_scan(v.flip(1), pole, torch.zeros_like(initial)).flip(1)
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
        y = (diagonal_scan(v, pole, rest) @ C[0].mT).real
        for future in C[1:]:
            y = y + (diagonal_scan(v.flip(1), pole.flip(1), rest).flip(1) @ future.mT).real
        return (y + D * u).to(u.dtype)


class _Mimo(torch.autograd.Function):
    """Saves the states at the boundaries of blocks, and no others."""

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
        y, boundaries, last = torch.empty_like(u), [], initial
        poles = chunk_poles(pole, drive.dtype.to_complex())
        for k, matrix in enumerate(read):
            boundary = torch.zeros_like(initial) if k else initial
            for block in blocks_of(u, len(pole), future=k > 0):
                boundaries.append(boundary)
                inputs = block.of(u, drive.dtype)
                x = _states(inputs, drive, poles, boundary)
                boundary = x[:, -1].to(boundary.dtype)
                out = (_rows(x) @ matrix).view(inputs.shape)
                block.put(out if k else out.addcmul_(inputs, skip), y, add=k > 0)
            last = last if k else boundary
        ctx.save_for_backward(u, pole, drive, read, skip, torch.stack(boundaries))
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor, grad_last: Tensor) -> tuple[Tensor, ...]:
        u, pole, drive, read, skip, boundaries = ctx.saved_tensors
        back = _Backward(pole, drive, read, skip)
        grad_u, boundary = torch.empty_like(u), len(boundaries)
        for k in range(len(read) - 1, -1, -1):
            back.start(torch.zeros_like(grad_last) if k else grad_last)
            for block in reversed(blocks_of(u, len(pole), future=k > 0)):
                boundary -= 1
                inputs, grad = block.of(u, drive.dtype), block.of(grad_y, drive.dtype)
                grad_inputs = back.through(k, inputs, grad, boundaries[boundary])
                block.put(grad_inputs, grad_u, add=k < len(read) - 1)
        return grad_u, *back.gradients, back.adjoint * pole.conj()


@final
class Block(NamedTuple):
    """Some positions, and the direction in which a pass goes through them."""

    positions: slice
    future: bool

    def of(self, sequence: Float[Tensor, "b l d"], dtype: torch.dtype) -> Float[Tensor, "b p d"]:
        """Return the block in the order of the pass."""
        block = sequence[:, self.positions].to(dtype)
        return block.flip(1) if self.future else block

    def put(
        self, block: Float[Tensor, "b p d"], sequence: Float[Tensor, "b l d"], *, add: bool
    ) -> None:
        """Write what is in the order of the pass, or add it to what stands there."""
        block = block.flip(1) if self.future else block
        sequence[:, self.positions] = sequence[:, self.positions] + block if add else block


def blocks_of(u: Float[Tensor, "b l d"], modes: int, *, future: bool) -> list[Block]:
    """Return the blocks of a direction, in its order."""
    size = max(1, BLOCK // (len(u) * modes * CHUNK)) * CHUNK
    blocks = [slice(start, start + size) for start in range(0, u.shape[1], size)]
    return [Block(block, future) for block in (blocks[::-1] if future else blocks)]


def _states(
    inputs: Float[Tensor, "b p d"],
    drive: Float[Tensor, "d m"],
    poles: ChunkedPoles,
    boundary: Complex128[Tensor, "b n"],
) -> Complex[Tensor, "b p n"]:
    """Return the states of a block that begins with the state at its boundary."""
    return scan_in_place(_from_pairs(inputs @ drive), poles, boundary)


def _from_pairs(pairs: Float[Tensor, "b p m"]) -> Complex[Tensor, "b p n"]:
    """Read the last axis as real and imaginary parts in turn."""
    return torch.view_as_complex(pairs.unflatten(-1, (-1, 2)))


def _rows(x: Shaped[Tensor, "b p c"]) -> Float[Tensor, "bp m"]:
    """Return complex states as rows of real pairs, and real features as rows."""
    pairs = torch.view_as_real(x).flatten(2) if x.is_complex() else x
    return pairs.reshape(-1, pairs.shape[-1])


@final
class _Backward:
    """What the backward pass carries from block to block."""

    def __init__(
        self,
        pole: Complex128[Tensor, " n"],
        drive: Float[Tensor, "d m"],
        read: Float[Tensor, "k m d"],
        skip: Float[Tensor, " d"],
    ) -> None:
        self.drive, self.read, self.skip = drive, read, skip
        dtype = drive.dtype.to_complex()
        self.poles = chunk_poles(pole, dtype)
        self.adjoint_poles = chunk_poles(pole.conj().resolve_conj(), dtype)
        self.gradients = tuple(map(torch.zeros_like, (pole, drive, read, skip)))

    def start(self, grad_last: Complex128[Tensor, "b n"]) -> None:
        """Begin a direction at its end."""
        self.adjoint, self.grad_last = torch.zeros_like(grad_last), grad_last

    def through(
        self,
        k: int,
        inputs: Float[Tensor, "b p d"],
        grad: Float[Tensor, "b p d"],
        boundary: Complex128[Tensor, "b n"],
    ) -> Float[Tensor, "b p d"]:
        """Add a block's part to the parameters' gradients, and return the inputs'."""
        x = _states(inputs, self.drive, self.poles, boundary)
        grad_pole, grad_drive, grad_read, grad_skip = self.gradients
        grad_read[k] += _rows(x).mT @ _rows(grad)
        grad_x = _from_pairs(grad @ self.read[k].mT)
        grad_x[:, -1] += self.grad_last
        self.grad_last = torch.zeros_like(boundary)
        # The gradient of a scan is the scan of the gradients with the conjugate poles, backwards.
        adjoint = scan_in_place(grad_x.flip(1), self.adjoint_poles, self.adjoint).flip(1)
        self.adjoint = adjoint[:, 0].to(boundary.dtype)
        grad_pole += (x[:, :-1].conj() * adjoint[:, 1:]).sum((0, 1))
        grad_pole += (boundary.conj() * self.adjoint).sum(0)
        grad_drive += _rows(inputs).mT @ _rows(adjoint)
        grad_inputs = (_rows(adjoint) @ self.drive.mT).view(inputs.shape)
        if k == 0:
            grad_skip += (inputs * grad).sum((0, 1))
            grad_inputs.addcmul_(grad, self.skip)
        return grad_inputs
