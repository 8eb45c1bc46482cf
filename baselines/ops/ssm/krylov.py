"""Dense linear systems of few states, run through long sequences by matrix products alone.

    x_l = A x_{l-1} + B u_l,    y_l = C x_l,    kernel K_l = C A^l B

Tables of A^j B and C A^j are doubled, [X, A^m X] from X. A is squared in float64: every squaring
doubles the relative error of a slow state, which float32 cannot afford seventeen times.

Axes: d channels, s states, k readings of one channel, b batch, l length.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

CHUNK = 128
"""Positions that one Toeplitz product mixes: twice the usual 64 states, where what is done inside
chunks and between them costs about the same."""
SEGMENT = 8192
"""Positions that are run at once, so that their numbers stay near the processor."""

Squares = list[Float64[Tensor, "d s s"]]


def kernel(
    A: Float64[Tensor, "d s s"], B: Float64[Tensor, "d s"], C: Float[Tensor, "d k s"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the first taps of the kernels: K_{iM+j} = (C A^{iM}) (A^j B), one batched product."""
    bits = (length - 1).bit_length()
    squares = squarings(A, bits)
    fine, coarse = squares[: bits // 2], squares[bits // 2 :]
    right = orbit(fine, B.to(C.dtype)[:, None], 1 << bits // 2)
    left = orbit([square.mT for square in coarse], C, -(-length >> bits // 2))
    taps: Tensor = left @ right.mT
    taps = taps.unflatten(1, (-1, C.shape[1])).transpose(1, 2).flatten(2)
    return taps[..., :length]


def naive_kernel(
    A: Float64[Tensor, "d s s"], B: Float64[Tensor, "d s"], C: Float[Tensor, "d k s"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the first taps of the kernels power by power, the twin of `kernel`."""
    state, taps = B[..., None], []
    for _ in range(length):
        taps.append(C @ state.to(C.dtype))
        state = A @ state
    return torch.cat(taps, -1)


def advance(
    A: Float64[Tensor, "d s s"],
    B: Float64[Tensor, "d s"],
    C: Float[Tensor, "d s"],
    u: Float[Tensor, "b l d"],
    state: Float[Tensor, "b d s"],
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d s"]]:
    """Continue from a state over a piece of a sequence; returns the outputs and the new state.

    Inside a chunk the kernel's first taps are a Toeplitz matrix; between chunks the states are
    carried along a binary tree. The length falls into powers of two, so nothing is padded.
    """
    bits = min(u.shape[1], SEGMENT).bit_length() - 1
    squares = squarings(A, bits)
    chunk = min(CHUNK, 1 << bits)
    drive = orbit(squares, B.to(C.dtype)[:, None], chunk)
    reading = orbit([square.mT for square in squares], C[:, None], chunk)
    taps = (drive @ C[..., None]).squeeze(-1)
    reading = reading @ A.to(C.dtype)
    x, outputs = state.to(C.dtype).transpose(0, 1), []
    while u.shape[1]:
        size = min(1 << bits, 1 << u.shape[1].bit_length() - 1)
        width = min(size, chunk)
        mixing = F.pad(taps[:, :width], (width - 1, 0)).unfold(-1, width, 1).flip(1)
        rows = u[:, :size].to(C.dtype).unflatten(1, (-1, width)).permute(3, 1, 0, 2)
        flat = rows.flatten(1, 2)
        driven = (flat @ drive[:, :width].flip(1)).view(*rows.shape[:3], -1)
        before, x = _carry(driven, x, squares[width.bit_length() - 1 :])
        y = torch.baddbmm(flat @ mixing, before.flatten(1, 2), reading[:, :width].mT)
        outputs.append(y.view(rows.shape).permute(2, 1, 3, 0).flatten(1, 2))
        u = u[:, size:]
    return torch.cat(outputs, 1).to(u.dtype), x.transpose(0, 1).contiguous()


def naive_advance(
    A: Float64[Tensor, "d s s"],
    B: Float64[Tensor, "d s"],
    C: Float[Tensor, "d s"],
    u: Float[Tensor, "b l d"],
    state: Float[Tensor, "b d s"],
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d s"]]:
    """Continue from a state position by position, the twin of `advance`."""
    A, B, outputs = A.to(C.dtype), B.to(C.dtype), []
    for now in u.unbind(1):
        state = torch.einsum("dij,bdj->bdi", A, state) + B * now[..., None]
        outputs.append((C * state).sum(-1))
    return torch.stack(outputs, 1), state


def squarings(A: Float64[Tensor, "d s s"], count: int) -> Squares:
    """Return A^(2^0) to A^(2^count)."""
    powers = [A]
    for _ in range(count):
        powers.append(powers[-1] @ powers[-1])
    return powers


def orbit(squares: Squares, start: Float[Tensor, "d k s"], count: int) -> Float[Tensor, "d c s"]:
    """Return start, A start, ..., A^(count-1) start, each as k rows."""
    rows, wanted = start, count * start.shape[1]
    for square in squares:
        missing = wanted - rows.shape[1]
        if missing:
            rows = torch.cat([rows, rows[:, :missing] @ square.mT.to(rows.dtype)], 1)
    return rows


def _carry(
    driven: Float[Tensor, "d r b s"], first: Float[Tensor, "d b s"], squares: Squares
) -> tuple[Float[Tensor, "d r b s"], Float[Tensor, "d b s"]]:
    """Return the states before each of r chunks, a power of two of them, and after the last.

    Two neighbours make a chunk of twice the length; what is before it is before its first half.
    """
    power = squares[0].mT.to(driven.dtype)
    if driven.shape[1] == 1:
        return first[:, None], torch.baddbmm(driven[:, 0], first, power)
    even, odd = driven[:, ::2], driven[:, 1::2]
    pairs = odd + (even.flatten(1, 2) @ power).view(even.shape)
    before, after = _carry(pairs, first, squares[1:])
    later = even + (before.flatten(1, 2) @ power).view(even.shape)
    return torch.stack([before, later], 2).flatten(1, 2), after
