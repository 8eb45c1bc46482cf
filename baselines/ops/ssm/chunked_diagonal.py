"""Diagonal linear systems over long sequences by matrix products, with no kernel of their length.

In a chunk of M positions, y = (Toeplitz matrix of the first M taps) u + Re sum_n weight_n
pole_n^(j+1) x_n, where x is the state at the boundary before the chunk, and at the next boundary it
is pole^M x + sum_j pole^(M-1-j) u_j. A second direction reads the future as `fft_convolve` has it:
it shares the Toeplitz matrix, and its boundary states go from right to left.

Axes: b batch, l length, d channels, k directions, g sets of poles (d, or 1 if all channels share
them), n modes; inside: c channels, r chunks, m positions of one, s real numbers of all states at
one boundary (2kn).
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.scans.powers import power, powers

CHUNK = 64
"""M. At 16,384 positions and 32 modes 128 takes a third longer to train, and so does 32."""
BLOCK = 1 << 21
"""Numbers of the input taken together: buffers stay in the memory allocator's hands."""
SEQUENTIAL = 8
"""Boundaries so few that they are taken one by one."""


def chunked_diagonal_ssm(
    u: Float[Tensor, "b l d"],
    weight: Complex[Tensor, "d k n"],
    pole: Complex128[Tensor, "g n"],
    skip: Float[Tensor, " d"],
    state: Complex[Tensor, "b d n"] | None = None,
) -> Float[Tensor, "b l d"]:
    """Run the systems over a sequence and add `skip` times the input.

    Weights and poles are in the normal form of `baselines.ops.ssm.diagonal`: the past's and, if k
    is 2, the future's. The state is the past's before the first position, zeros if None.
    """
    size = min(CHUNK, 1 << max(0, u.shape[1] - 1).bit_length())
    with torch.autocast(u.device.type, enabled=False):
        local, into, out = _tables(weight, pole, skip, size)
        start = weight.new_zeros(len(u), *weight.shape[::2]) if state is None else state
        far = power(pole, size).expand(len(weight), -1)
        parts = u.to(local.dtype), local, into, out, far, start.transpose(0, 1)
        y: Tensor = _Chunked.apply(torch.is_grad_enabled(), *parts)  # type: ignore[no-untyped-call]
    return y.to(u.dtype)


def recurrent_diagonal_ssm(
    u: Float[Tensor, "b l d"],
    weight: Complex[Tensor, "d k n"],
    pole: Complex128[Tensor, "g n"],
    skip: Float[Tensor, " d"],
    state: Complex[Tensor, "b d n"] | None = None,
) -> Float[Tensor, "b l d"]:
    """Go through the sequence in each direction, the twin of `chunked_diagonal_ssm`."""
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
    """Return maps from a chunk to itself (d m m), to boundary states (d m s), and back (d s m)."""
    both = weight.shape[1] == 2
    near = powers(pole, size, weight.dtype)
    back = near.flip(1)
    into = torch.stack([back, near] if both else [back], 2)
    away = torch.stack([near, back] if both else [near], 2)
    # The past's state has seen all before the chunk, so its first step is one pole on.
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


def boundary_states(
    sums: Float[Tensor, "c br s"],
    far: Complex128[Tensor, "c n"],
    state: Complex[Tensor, "c b n"],
    *,
    backwards: bool = False,
) -> tuple[Float[Tensor, "c br s"], Complex[Tensor, "c b n"]]:
    """Return the states before each chunk, of what each chunk adds, and the past's after its last.

    The past's go from the first chunk to the last and begin with the state, the future's in the
    other direction; both the other way round if backwards.
    """
    boundaries = torch.empty_like(sums)
    (past, *future), (before, *behind) = (
        _by_mode(x, far).unflatten(1, (state.shape[1], -1)).unbind(3) for x in (sums, boundaries)
    )
    for steps, out in zip(future, behind, strict=True):
        boundary_scan(far, steps, torch.zeros_like(state), out, reverse=not backwards)
    return boundaries, boundary_scan(far, past, state, before, reverse=backwards)


def boundary_scan(
    pole: Complex128[Tensor, "c n"],
    x: Complex[Tensor, "c b r n"],
    state: Complex[Tensor, "c b n"],
    out: Complex[Tensor, "c b r n"],
    *,
    reverse: bool = False,
) -> Complex[Tensor, "c b n"]:
    """Write the states before each step, which leaves pole state + x_r; return the last state.

    Two steps are one of pole^2: pairs are scanned alike, and then split, so that every
    operator works on many steps at once.
    """
    count = x.shape[2]
    if count <= SEQUENTIAL:
        return naive_boundary_scan(pole, x, state, out, reverse=reverse)
    if odd := count % 2:
        parts = list(zip(*(z.split((count - odd, odd), 2) for z in (x, out)), strict=True))
        for steps, before in reversed(parts) if reverse else parts:
            state = boundary_scan(pole, steps, state, before, reverse=reverse)
        return state
    first, second = (0, 1)[:: -1 if reverse else 1]
    steps, before = (z.unflatten(2, (-1, 2)) for z in (x, out))
    once = pole.to(x.dtype)[:, None, None]
    both = torch.addcmul(steps[:, :, :, second], once, steps[:, :, :, first])
    state = boundary_scan(pole * pole, both, state, before[:, :, :, first], reverse=reverse)
    torch.addcmul(steps[:, :, :, first], once, before[:, :, :, first], out=before[:, :, :, second])
    return state


def naive_boundary_scan(
    pole: Complex128[Tensor, "c n"],
    x: Complex[Tensor, "c b r n"],
    state: Complex[Tensor, "c b n"],
    out: Complex[Tensor, "c b r n"],
    *,
    reverse: bool = False,
) -> Complex[Tensor, "c b n"]:
    """Take one step after the other, the twin of `boundary_scan`."""
    order = range(x.shape[2])
    for step in reversed(order) if reverse else order:
        out[:, :, step] = state
        state = torch.addcmul(x[:, :, step], pole.to(x.dtype)[:, None], state)
    return state


class _Chunked(torch.autograd.Function):
    """The products and the boundary states between them, a block of channels at a time.

    If there will be a gradient, it saves these states, half as many numbers as the input at 16
    modes.
    """

    @staticmethod
    def forward(ctx: Any, save: bool, u: Tensor, *tables: Tensor) -> Tensor:
        y = torch.empty_like(u, memory_format=torch.contiguous_format)
        saved = []
        for part in _blocks(u):
            local, into, out, far, state = (table[part] for table in tables)
            x = _in_chunks(u[..., part], local.shape[1])
            boundaries, _ = boundary_states(x @ into, far, state)
            if save:
                saved.append(boundaries)
            _join_chunks((x @ local).baddbmm_(boundaries, out), y[..., part])
        ctx.save_for_backward(u, *tables, *saved)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, *rest = ctx.saved_tensors
        tables, saved = rest[:5], rest[5:]
        grads = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in tables]
        d_u = torch.empty_like(u, memory_format=torch.contiguous_format)
        with torch.autocast(u.device.type, enabled=False):
            for part, boundaries in zip(_blocks(u), saved, strict=True):
                local, into, out, far, state = (table[part] for table in tables)
                d_local, d_into, d_out, d_far, d_state = (table[part] for table in grads)
                x, dy = (_in_chunks(z[..., part], local.shape[1]) for z in (u, grad))
                nothing = torch.zeros_like(state)
                pushed, first = boundary_states(dy @ out.mT, far.conj(), nothing, backwards=True)
                d_state.copy_(first)
                torch.bmm(x.mT, dy, out=d_local)
                torch.bmm(x.mT, pushed, out=d_into)
                torch.bmm(boundaries.mT, dy, out=d_out)
                products = _by_mode(boundaries, far).conj() * _by_mode(pushed, far)
                d_far.copy_(products.flatten(1, -2).sum(1))
                _join_chunks((dy @ local.mT).baddbmm_(pushed, into.mT), d_u[..., part])
        return None, d_u, *grads


def _blocks(x: Tensor) -> Iterator[slice]:
    """Cut the channels of (b, l, d) into blocks of about `BLOCK` numbers."""
    step = max(1, BLOCK // max(1, x[..., 0].numel()))
    return (slice(start, start + step) for start in range(0, x.shape[-1], step))


def _by_mode(
    boundaries: Float[Tensor, "c br s"], far: Complex128[Tensor, "c n"]
) -> Complex[Tensor, "c br k n"]:
    """View the real numbers of boundary states as complex ones; `far` is asked for its n."""
    states: Tensor = torch.view_as_complex(boundaries.unflatten(-1, (-1, far.shape[-1], 2)))
    return states


def _in_chunks(x: Float[Tensor, "b l d"], size: int) -> Float[Tensor, "c br m"]:
    """Lay sequences out in r chunks of m positions each, the last filled up with zeros.

    Chunks are transposed one by one in memory, since a whole sequence does not fit into the cache.
    """
    if missing := -x.shape[1] % size:
        x = F.pad(x, (0, 0, 0, missing))
    return x.reshape(-1, size, x.shape[-1]).mT.contiguous().transpose(0, 1)


def _join_chunks(chunks: Float[Tensor, "c br m"], whole: Float[Tensor, "b l d"]) -> None:
    """Undo `_in_chunks`, into a tensor that is there.

    Channels are first brought together chunk by chunk: as far apart as whole sequences, they share
    a few lines of the cache, and to read one number of each takes three times as long as both.
    """
    (batch, length, _), size = whole.shape, chunks.shape[-1]
    rows = chunks.transpose(0, 1).contiguous().mT.unflatten(0, (batch, -(-length // size)))
    full = length // size
    whole[:, : full * size].unflatten(1, (full, size)).copy_(rows[:, :full])
    if rest := length % size:
        whole[:, full * size :] = rows[:, full, :rest]
