"""One block of positions of a system with many inputs and outputs, forward and backward.

Axes: b batch, l length, p positions of a block, d channels, n modes, k directions, m = 2n real and
imaginary parts.
"""

from typing import NamedTuple, final

import torch
from jaxtyping import Complex, Complex128, Float, Shaped
from torch import Tensor

from baselines.ops.scan import CHUNK, Chunks, chunked, sweep

BLOCK = 1 << 17
"""States of a block: 1 MB in float32, so that what it needs fits into a core's second cache."""


@final
class Piece(NamedTuple):
    """A block of positions and the direction in which a pass goes through it."""

    block: slice
    future: bool

    def of(self, sequence: Float[Tensor, "b l d"], dtype: torch.dtype) -> Float[Tensor, "b p d"]:
        """Return the block in the order of the pass."""
        piece = sequence[:, self.block].to(dtype)
        return piece.flip(1) if self.future else piece

    def put(
        self, piece: Float[Tensor, "b p d"], sequence: Float[Tensor, "b l d"], *, add: bool
    ) -> None:
        """Write a block that is in the order of the pass, or add it to what stands there."""
        piece = piece.flip(1) if self.future else piece
        sequence[:, self.block] = sequence[:, self.block] + piece if add else piece


def passed(u: Float[Tensor, "b l d"], modes: int, *, future: bool) -> list[Piece]:
    """Return the blocks of a direction, in its order."""
    size = max(1, BLOCK // (len(u) * modes * CHUNK)) * CHUNK
    blocks = [slice(start, start + size) for start in range(0, u.shape[1], size)]
    return [Piece(block, future) for block in (blocks[::-1] if future else blocks)]


def states(
    seen: Float[Tensor, "b p d"],
    drive: Float[Tensor, "d m"],
    chunks: Chunks,
    border: Complex128[Tensor, "b n"],
) -> Complex[Tensor, "b p n"]:
    """Return the states of a block that begins with the state at its border."""
    return sweep(from_pairs(seen @ drive), chunks, border)


def from_pairs(pairs: Float[Tensor, "b p m"]) -> Complex[Tensor, "b p n"]:
    """Read the last axis as real and imaginary parts in turn."""
    return torch.view_as_complex(pairs.unflatten(-1, (-1, 2)))


def rows(x: Shaped[Tensor, "b p c"]) -> Float[Tensor, "bp m"]:
    """Return complex states as rows of real pairs, and real features as rows."""
    pairs = torch.view_as_real(x).flatten(2) if x.is_complex() else x
    return pairs.reshape(-1, pairs.shape[-1])


@final
class Backward:
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
        self.chunks = chunked(pole, dtype)
        self.turned = chunked(pole.conj().resolve_conj(), dtype)
        self.gradients = tuple(map(torch.zeros_like, (pole, drive, read, skip)))

    def turn(self, grad_last: Complex128[Tensor, "b n"]) -> None:
        """Begin a direction at its end."""
        self.adjoint, self.grad_last = torch.zeros_like(grad_last), grad_last

    def through(
        self,
        k: int,
        seen: Float[Tensor, "b p d"],
        grad: Float[Tensor, "b p d"],
        border: Complex128[Tensor, "b n"],
    ) -> Float[Tensor, "b p d"]:
        """Add a block's part to the parameters' gradients, and return the inputs'."""
        x = states(seen, self.drive, self.chunks, border)
        grad_pole, grad_drive, grad_read, grad_skip = self.gradients
        grad_read[k] += rows(x).mT @ rows(grad)
        grad_x = from_pairs(grad @ self.read[k].mT)
        grad_x[:, -1] += self.grad_last
        self.grad_last = torch.zeros_like(border)
        # The gradient of a scan is the scan of the gradients with the conjugate poles, backwards.
        adjoint = sweep(grad_x.flip(1), self.turned, self.adjoint).flip(1)
        self.adjoint = adjoint[:, 0].to(border.dtype)
        grad_pole += (x[:, :-1].conj() * adjoint[:, 1:]).sum((0, 1))
        grad_pole += (border.conj() * self.adjoint).sum(0)
        grad_drive += rows(seen).mT @ rows(adjoint)
        grad_seen = (rows(adjoint) @ self.drive.mT).view(seen.shape)
        if k == 0:
            grad_skip += (seen * grad).sum((0, 1))
            grad_seen.addcmul_(grad, self.skip)
        return grad_seen
