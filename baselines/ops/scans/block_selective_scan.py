"""The selective scan of B2S6: complex states, B and C for each block of channels, a bias on B.

Yu and Erichson 2025, "Block-Biased Mamba for Long-Range Sequence Processing". Channel c of block j
has

    h_t = exp(dt_t A_c) h_{t-1} + dt_t (B_{t,j} + bias_c) x_t,    y_t = 2 Re(C_{t,j} . h_t),

whose states are one of each conjugate pair.

Axes: b batch, l length, d channels, j blocks, n states.
"""

from typing import NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.selective_scan import all_states

CHUNK = 64
"""Positions of which all states are held at once."""

Channels = Float[Tensor, "b l d"]
State = Complex[Tensor, "b d n"]


class Drives(NamedTuple):
    """What the input selects at each position."""

    dt: Float[Tensor, "b *l d"]
    """Step sizes, not negative."""
    B: Complex[Tensor, "b *l j n"]
    C: Complex[Tensor, "b *l j n"]


class Fixed(NamedTuple):
    """What all positions share."""

    A: Complex[Tensor, "d n"]
    """Rates, with negative real parts."""
    bias: Complex[Tensor, "d n"]


def block_selective_scan(
    x: Channels, drives: Drives, fixed: Fixed, state: State
) -> tuple[Channels, State]:
    """Return the outputs and the last state, the states of one chunk at a time.

    Nothing is divided by a product of decays; the gradient recomputes each chunk.
    """
    with torch.autocast(x.device.type, enabled=False):
        y, (state,) = checkpointed_scan(_chunk, CHUNK, (state,), (x, *drives), fixed)
    return y, state


def naive_block_selective_scan(
    x: Channels, drives: Drives, fixed: Fixed, state: State
) -> tuple[Channels, State]:
    """Take the positions and the blocks one by one, the twin of `block_selective_scan`."""
    outputs = []
    for t in range(x.shape[1]):
        dt, B, C = (part[:, t] for part in drives)
        size = x.shape[2] // B.shape[1]
        states, y = [], []
        for block in range(B.shape[1]):
            rows = slice(block * size, (block + 1) * size)
            into = B[:, block, None] + fixed.bias[rows]
            decay = torch.exp(dt[:, rows, None] * fixed.A[rows])
            states.append(decay * state[:, rows] + (dt * x[:, t])[:, rows, None] * into)
            y.append(2 * torch.einsum("bn,bdn->bd", C[:, block], states[-1]).real)
        state = torch.cat(states, 1)
        outputs.append(torch.cat(y, 1))
    return torch.stack(outputs, 1), state


def block_selective_step(
    x: Float[Tensor, "b d"], drives: Drives, fixed: Fixed, state: State
) -> tuple[Float[Tensor, "b d"], State]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    state.mul_(_decays(drives.dt, fixed.A))
    state.add_((drives.dt * x)[..., None] * _into(drives.B, fixed.bias))
    return _read(state, drives.C), state


def _chunk(
    start: tuple[Tensor], x: Tensor, dt: Tensor, B: Tensor, C: Tensor, *shared: Tensor
) -> tuple[Tensor, tuple[Tensor]]:
    A, bias = shared
    decay, drive = _decays(dt, A), (dt * x)[..., None] * _into(B, bias)
    states = all_states(decay, drive, *start)
    # A view of the last state would keep all of them.
    return _read(states, C), (states[:, -1].clone(),)


def _decays(dt: Tensor, A: Tensor) -> Tensor:
    """Return exp(dt A) from real functions, which torch has for whole vectors."""
    size, phase = (dt[..., None] * A.real).exp(), dt[..., None] * A.imag
    return torch.view_as_complex(torch.stack([size * phase.cos(), size * phase.sin()], -1))


def _into(B: Tensor, bias: Tensor) -> Tensor:
    """Return what carries the input into the states of each channel, (b, *l, d, n)."""
    blocks = B.shape[-2]
    own: Tensor = bias.unflatten(0, (blocks, -1))
    return (B[..., None, :] + own).flatten(-3, -2)


def _read(states: Tensor, C: Tensor) -> Tensor:
    """Return what C of a channel's block reads of its states."""
    # Re(x y) is the dot product of the real pairs of x and of conj(y).
    pairs = torch.view_as_real(states.unflatten(-2, (C.shape[-2], -1))).flatten(-2)
    reader = torch.view_as_real(2 * C.conj().resolve_conj()).flatten(-2)
    y: Tensor = (pairs @ reader[..., None]).squeeze(-1)
    return y.flatten(-2)
