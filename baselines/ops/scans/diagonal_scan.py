"""Scans of diagonal recurrences: all states of x_l = pole_l x_{l-1} + v_l.

Two forms: a kernel in Triton, and torch, by chunks. In torch, inside chunks of 16 positions a loop
takes the positions, all chunks at once; the states between chunks follow by doubling; then every
position adds what its chunk began with. Products of poles are only ever multiplied, never divided,
so poles may be zero, decay as fast as they like, or differ from position to position (Martin and
Cundy 2018, arXiv 1709.04057, for the associative operator). Poles and the states between chunks are
complex128 whatever the working precision, because the phase of a long product loses one digit a
decade of its length.

Axes: b batch, l length, n modes, r chunks.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Complex, Complex128
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans.powers import powers

CHUNK = 16


class ChunkedPoles(NamedTuple):
    """Poles as `scan_in_place` needs them, for one system or for every position of its own."""

    pole: Complex[Tensor, "*br 16 n"]
    product: Complex[Tensor, "*br 16 n"]
    """Of the poles from the chunk's beginning to each position."""
    whole: Complex128[Tensor, "b_or_1 r_or_1 n"]
    """Of all poles of the chunk."""


def chunk_poles(pole: Complex128[Tensor, "*bl n"], dtype: torch.dtype) -> ChunkedPoles:
    """Cut poles that are constant, (n,), or vary, (b, l, n), for a scan in a complex dtype."""
    if pole.ndim == 1:
        product = powers(pole[None], CHUNK + 1, dtype)[0, 1:]
        return ChunkedPoles(pole.to(dtype).expand(CHUNK, -1), product, pole[None, None] ** CHUNK)
    # A pole of one keeps the state over the positions that fill up the last chunk.
    filled = F.pad(pole, (0, 0, 0, -pole.shape[1] % CHUNK), value=1.0).unflatten(1, (-1, CHUNK))
    product = filled.cumprod(2)
    return ChunkedPoles(filled.to(dtype), product.to(dtype), product[:, :, -1])


def scan_in_place(
    v: Complex[Tensor, "b l n"], poles: ChunkedPoles, initial: Complex128[Tensor, "b n"]
) -> Complex[Tensor, "b l n"]:
    """Return the states x_l = pole_l x_{l-1} + v_l, x_{-1} = initial, in the memory of v.

    It carries no gradient.
    """
    length = v.shape[1]
    if extra := -length % CHUNK:
        v = F.pad(v, (0, 0, 0, extra))
    x = v.unflatten(1, (-1, CHUNK))
    positions = x.unbind(2)
    for before, at, pole in zip(positions, positions[1:], poles.pole.unbind(-2)[1:], strict=False):
        at.addcmul_(before, pole)
    starts = _chunk_starts(positions[-1].to(torch.complex128), poles.whole, initial)
    # As in `powers`: a processor multiplies subnormal numbers some hundred times slower.
    faint = starts.abs() < math.sqrt(torch.finfo(x.dtype).tiny)
    x.addcmul_(starts.masked_fill(faint, 0).to(x.dtype)[:, :, None], poles.product)
    states: Tensor = x.flatten(1, 2)[:, :length]
    return states


def diagonal_scan(
    v: Complex[Tensor, "b l n"],
    pole: Complex128[Tensor, "*bl n"],
    initial: Complex[Tensor, "b n"],
) -> Complex[Tensor, "b l n"]:
    """Return the states of a sequence.

    Args:
        v: What drives each mode at each position.
        pole: (n,) if the system is the same everywhere, (b, l, n) if it varies.
        initial: The state before the first position.
    """
    states: Tensor = chosen(FORMS, v).run(pole, v, initial)[0]
    return states


def chunked_diagonal_scan(
    pole: Complex128[Tensor, "*bl n"],
    v: Complex[Tensor, "b l n"],
    initial: Complex[Tensor, "b n"],
) -> tuple[Complex[Tensor, "b l n"]]:
    """Scan in torch, all chunks at once."""
    states: Tensor = _DiagonalScan.apply(v, pole, initial)  # type: ignore[no-untyped-call]
    return (states,)


FORMS = triton("first_order_scan"), Form("chunked-scan", chunked_diagonal_scan)


def naive_diagonal_scan(
    v: Complex[Tensor, "b l n"],
    pole: Complex128[Tensor, "*bl n"],
    initial: Complex[Tensor, "b n"],
) -> Complex[Tensor, "b l n"]:
    """Return the states one by one in complex128, the twin of `diagonal_scan`."""
    poles = pole.expand_as(v).unbind(1)
    state, states = initial.to(torch.complex128), []
    for pole_l, v_l in zip(poles, v.unbind(1), strict=True):
        state = pole_l * state + v_l
        states.append(state)
    return torch.stack(states, 1).to(v.dtype)


def _chunk_starts(
    ends: Complex128[Tensor, "b r n"],
    whole: Complex128[Tensor, "b_or_1 r_or_1 n"],
    initial: Complex128[Tensor, "b n"],
) -> Complex128[Tensor, "b r n"]:
    """Return the state before each chunk from the ends of chunks that begin at zero."""
    state = torch.cat([initial[:, None], ends[:, :-1]], 1)
    constant = whole.shape[1] == 1
    # The factor from the state before a chunk to the one before the next.
    factor = whole if constant else whole.roll(1, 1)
    reach = 1
    while reach < state.shape[1]:
        now = factor if constant else factor[:, reach:]
        state[:, reach:] += now * state[:, :-reach]
        if constant:
            factor = factor * factor
        else:
            factor[:, reach:] = now * factor[:, :-reach]
        reach *= 2
    return state


class _DiagonalScan(torch.autograd.Function):
    """The gradient of a scan is the scan of the gradients with the conjugate poles, backwards."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, pole: Tensor, initial: Tensor) -> Tensor:
        x = scan_in_place(v.clone(), chunk_poles(pole, v.dtype), initial.to(torch.complex128))
        ctx.save_for_backward(x, pole, initial)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, pole, initial = ctx.saved_tensors
        first = pole if pole.ndim == 1 else pole[:, 0]
        # Backwards, a position is reached with the pole of the one after it.
        turned = (pole if pole.ndim == 1 else pole.flip(1).roll(1, 1)).conj().resolve_conj()
        nothing = torch.zeros_like(initial, dtype=torch.complex128)
        grad_v = scan_in_place(grad.flip(1), chunk_poles(turned, x.dtype), nothing).flip(1)
        before = torch.cat([initial[:, None].to(x.dtype), x[:, :-1]], 1)
        grad_pole = (before.conj() * grad_v).sum_to_size(pole.shape).to(pole.dtype)
        return grad_v, grad_pole, (grad_v[:, 0] * first.conj()).to(initial.dtype)
