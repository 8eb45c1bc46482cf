"""Diagonal linear systems over long sequences by matrix products, with no kernel of their length.

In a chunk of M positions, y = (Toeplitz matrix of the first M taps) u + Re sum_n weight_n
pole_n^(j+1) carry_n, where carry is the state before the chunk, and the next chunk's is
pole^M carry + sum_j pole^(M-1-j) u_j. A second direction reads the future as
`baselines.ops.convolution` has it: it shares the Toeplitz matrix and carries from right to left.

Axes: b batch, l length, d channels, k directions, g sets of poles (d, or 1 if all channels share
them), n modes; inside: c channels, r chunks, m positions of one, s real numbers of its carries.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops import diagonal
from baselines.ops.carries import as_complex, carry
from baselines.ops.layout import transposed

CHUNK = 128
"""M. At 16,384 positions and 32 modes 64 trains as fast, 256 takes two thirds longer."""
BLOCK = 1 << 21
"""Numbers of the input taken together: buffers stay in the memory allocator's hands."""


def chunked(
    u: Float[Tensor, "b l d"],
    weight: Complex[Tensor, "d k n"],
    pole: Complex128[Tensor, "g n"],
    skip: Float[Tensor, " d"],
    state: Complex[Tensor, "b d n"] | None = None,
) -> Float[Tensor, "b l d"]:
    """Run the systems over a sequence and add `skip` times the input.

    Weights and poles are in the normal form of `baselines.ops.diagonal`: the past's and, if k is 2,
    the future's. The state is the past's before the first position, zeros if None.
    """
    size = min(CHUNK, 1 << max(0, u.shape[1] - 1).bit_length())
    with torch.autocast(u.device.type, enabled=False):
        local, into, out = _tables(weight, pole, skip, size)
        start = weight.new_zeros(len(u), *weight.shape[::2]) if state is None else state
        far = diagonal.power(pole, size).expand(len(weight), -1)
        parts = u.to(skip.dtype), local, into, out, far, start.transpose(0, 1)
        y: Tensor = _Chunked.apply(*parts)  # type: ignore[no-untyped-call]
    return y.to(u.dtype)


def recurrence(
    u: Float[Tensor, "b l d"],
    weight: Complex[Tensor, "d k n"],
    pole: Complex128[Tensor, "g n"],
    skip: Float[Tensor, " d"],
    state: Complex[Tensor, "b d n"] | None = None,
) -> Float[Tensor, "b l d"]:
    """Walk the sequence in each direction, the twin of `chunked`."""
    x = weight.new_zeros(len(u), *weight.shape[::2]) if state is None else state
    past, future = [], []
    for u_t in u.unbind(1):
        x = pole * x + u_t[..., None]
        past.append((weight[:, 0] * x).sum(-1).real + skip * u_t)
    x = torch.zeros_like(x)
    for u_t in u.unbind(1)[::-1]:
        future.append((weight[:, -1] * x).sum(-1).real)
        x = pole * x + u_t[..., None]
    y = torch.stack(past, 1)
    return y + torch.stack(future[::-1], 1) if weight.shape[1] == 2 else y


def _tables(weight: Tensor, pole: Tensor, skip: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what maps a chunk to itself (d m m), a chunk to carries (d m s), and back (d s m)."""
    taps = diagonal.kernel(weight, pole, size)
    both = weight.shape[1] == 2
    future = taps[:, 1, :-1].flip(-1) if both else torch.zeros_like(taps[:, 0, 1:])
    lags = torch.cat([future, taps[:, 0, :1] + skip[:, None], taps[:, 0, 1:]], -1)
    local = lags.unfold(-1, size, 1).flip(1)
    near = diagonal.powers(pole, size, weight.dtype)
    towards = torch.stack([near.flip(1), near] if both else [near.flip(1)], 2)
    ahead = near * pole.to(near.dtype)[:, None]
    away = torch.stack([ahead, near.flip(1)] if both else [ahead], 2)
    into = torch.view_as_real(towards).flatten(2).expand(len(weight), -1, -1)
    # Re(x y) is the dot product of the real pairs of x and of conj(y).
    out = torch.view_as_real((weight[:, None] * away).conj().resolve_conj()).flatten(2).mT
    return local, into, out


class _Chunked(torch.autograd.Function):
    """The products and the carries between them, a block of channels at a time.

    It keeps its arguments only; the carries are summed up anew for the gradient.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, *tables: Tensor) -> Tensor:
        ctx.save_for_backward(u, *tables)
        y = transposed(u)
        for part in _blocks(y):
            local, into, out, far, state = (table[part] for table in tables)
            x = _rows(y[:, part], local.shape[1])
            carries = x @ into
            carry(carries, far, state)
            y[:, part] = _joined((x @ local).baddbmm_(carries, out), y)
        return transposed(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        u, *tables = ctx.saved_tensors
        grads = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in tables]
        x_all, grad = transposed(u), transposed(grad)
        with torch.autocast(u.device.type, enabled=False):
            for part in _blocks(grad):
                local, into, out, far, state = (table[part] for table in tables)
                d_local, d_into, d_out, d_far, d_state = (table[part] for table in grads)
                x, dy = (_rows(z[:, part], local.shape[1]) for z in (x_all, grad))
                carries, pushed = x @ into, dy @ out.mT
                carry(carries, far, state)
                d_state.copy_(carry(pushed, far.conj(), torch.zeros_like(state), backwards=True))
                torch.bmm(x.mT, dy, out=d_local)
                torch.bmm(x.mT, pushed, out=d_into)
                torch.bmm(carries.mT, dy, out=d_out)
                products = as_complex(carries, far).conj() * as_complex(pushed, far)
                d_far.copy_(products.flatten(1, -2).sum(1))
                grad[:, part] = _joined((dy @ local.mT).baddbmm_(pushed, into.mT), grad)
        return transposed(grad), *grads


def _blocks(x: Tensor) -> Iterator[slice]:
    """Cut the channels of (b, d, l) into blocks of about `BLOCK` numbers."""
    step = max(1, BLOCK // x[:, 0].numel())
    return (slice(start, start + step) for start in range(0, x.shape[1], step))


def _rows(x: Tensor, size: int) -> Tensor:
    """Lay (b, c, l) out as (c, br, m), the last chunk filled up with zeros."""
    x = x.transpose(0, 1)
    if missing := -x.shape[-1] % size:
        x = F.pad(x, (0, missing))
    return x.reshape(len(x), -1, size)


def _joined(rows: Tensor, whole: Tensor) -> Tensor:
    """Undo `_rows`, for (b, d, l) whose b and l the result has."""
    batch, length = len(whole), whole.shape[-1]
    return rows.reshape(len(rows), batch, -1)[..., :length].transpose(0, 1)
