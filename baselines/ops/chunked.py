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

from baselines.ops.carries import as_complex, carry
from baselines.ops.layout import in_chunks, join_chunks
from baselines.ops.powers import power, powers

CHUNK = 64
"""M. At 16,384 positions and 32 modes 128 takes a third longer to train, and so does 32."""
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
        far = power(pole, size).expand(len(weight), -1)
        parts = u.to(skip.dtype), local, into, out, far, start.transpose(0, 1)
        y: Tensor = _Chunked.apply(torch.is_grad_enabled(), *parts)  # type: ignore[no-untyped-call]
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
    both = weight.shape[1] == 2
    near = powers(pole, size, weight.dtype)
    back = near.flip(1)
    into = torch.stack([back, near] if both else [back], 2)
    away = torch.stack([near, back] if both else [near], 2)
    # The past's carry has seen all before the chunk, so its first step is one pole on.
    last = torch.stack([weight[:, 0] * pole.to(weight.dtype), *weight.unbind(1)[1:]], 1)
    # Re(x y) is the dot product of the real pairs of x and of conj(y).
    out = torch.view_as_real((last[:, None] * away).conj().resolve_conj()).flatten(2).mT
    rows = torch.view_as_real(near).flatten(2).squeeze(0)
    taps = torch.view_as_real(weight.conj().resolve_conj()).flatten(2) @ rows.mT
    into = torch.view_as_real(into).flatten(2).expand(len(weight), -1, -1)
    return _toeplitz(taps, skip), into, out


def _toeplitz(taps: Tensor, skip: Tensor) -> Tensor:
    """Return the matrices (d m m) that apply taps (d k m) and `skip` to the rows of a chunk."""
    size = taps.shape[-1]
    future = taps[:, 1, :-1].flip(-1) if taps.shape[1] == 2 else torch.zeros_like(taps[:, 0, 1:])
    filler = torch.zeros_like(skip)[:, None]
    lags = torch.cat([future, taps[:, 0, :1] + skip[:, None], taps[:, 0, 1:], filler], -1)
    # Lines of 2m - 1 cut out of repetitions of 2m numbers: each begins one number earlier.
    lines = lags[:, None].expand(-1, size, -1).flatten(1)[:, : size * (2 * size - 1)]
    return lines.view(len(taps), size, -1)[..., size - 1 :]


class _Chunked(torch.autograd.Function):
    """The products and the carries between them, a block of channels at a time.

    It keeps the carries if there will be a gradient, half as many numbers as the input at 16 modes.
    """

    @staticmethod
    def forward(ctx: Any, keep: bool, u: Tensor, *tables: Tensor) -> Tensor:
        y = torch.empty_like(u, memory_format=torch.contiguous_format)
        kept = []
        for part in _blocks(u):
            local, into, out, far, state = (table[part] for table in tables)
            x = in_chunks(u[..., part], local.shape[1])
            carries, _ = carry(x @ into, far, state)
            if keep:
                kept.append(carries)
            join_chunks((x @ local).baddbmm_(carries, out), y[..., part])
        ctx.save_for_backward(u, *tables, *kept)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, *rest = ctx.saved_tensors
        tables, kept = rest[:5], rest[5:]
        grads = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in tables]
        d_u = torch.empty_like(u, memory_format=torch.contiguous_format)
        with torch.autocast(u.device.type, enabled=False):
            for part, carries in zip(_blocks(u), kept, strict=True):
                local, into, out, far, state = (table[part] for table in tables)
                d_local, d_into, d_out, d_far, d_state = (table[part] for table in grads)
                x, dy = (in_chunks(z[..., part], local.shape[1]) for z in (u, grad))
                nothing = torch.zeros_like(state)
                pushed, first = carry(dy @ out.mT, far.conj(), nothing, backwards=True)
                d_state.copy_(first)
                torch.bmm(x.mT, dy, out=d_local)
                torch.bmm(x.mT, pushed, out=d_into)
                torch.bmm(carries.mT, dy, out=d_out)
                products = as_complex(carries, far).conj() * as_complex(pushed, far)
                d_far.copy_(products.flatten(1, -2).sum(1))
                join_chunks((dy @ local.mT).baddbmm_(pushed, into.mT), d_u[..., part])
        return None, d_u, *grads


def _blocks(x: Tensor) -> Iterator[slice]:
    """Cut the channels of (b, l, d) into blocks of about `BLOCK` numbers."""
    step = max(1, BLOCK // x[..., 0].numel())
    return (slice(start, start + step) for start in range(0, x.shape[-1], step))
