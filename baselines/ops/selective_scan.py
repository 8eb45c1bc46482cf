"""The selective scan of Mamba: a diagonal recurrence whose step and vectors change with position.

Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", section 3.
h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t, y_t = sum_n gain C_t h_t + D x_t: the decay is exact, the
input term is Euler's, as in the authors' code.

Axes: b batch, l length, d channels, n states.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.ops import authors_kernels, native, native_scan
from baselines.ops.checkpointed_scan import checkpointed_scan
from baselines.ops.walk import walked

Form = Literal["native", "mamba_ssm", "chunked"]
CHUNK = 64
"""Positions of which the torch form holds all states at once."""


@dataclass(frozen=True, kw_only=True)
class Selective:
    """A diagonal system that is another one at each position."""

    dt: Float[Tensor, "b l d"]
    """Step sizes, not negative."""
    A: Float[Tensor, "d n"]
    """Rates, negative: a state decays by exp(dt A)."""
    B: Float[Tensor, "b l n"]
    C: Float[Tensor, "b l n"]
    D: Float[Tensor, " d"]
    gain: Float[Tensor, "d n"] | None = None
    """Factors of C that all positions share, None for ones: B or C of a channel's own."""

    def to(self, dtype: torch.dtype) -> "Selective":
        """Return the system in a precision."""
        parts = {name: part.to(dtype) for name, part in vars(self).items() if part is not None}
        return Selective(**parts)


Scanned = tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]


def selective_scan(
    x: Float[Tensor, "b l d"], system: Selective, state: Float[Tensor, "b d n"] | None = None
) -> Scanned:
    """Scan in the form that `scan_form` names, in float32, or float64 if A is.

    Args:
        x: Inputs.
        system: What drives and reads the states.
        state: The state before the first position; None for zeros.

    Returns:
        Outputs, and the last state. Both have gradients to every argument, but for the last state
        of `mamba_ssm`, which has none.
    """
    form = scan_form(x, plain=state is None and system.gain is None)
    dtype = torch.promote_types(system.A.dtype, torch.float32)
    x, system = x.to(dtype), system.to(dtype)
    if form == "mamba_ssm":
        s = system
        return authors_kernels.scan(x, s.dt, s.A, s.B, s.C, s.D)
    if state is None:
        state = x.new_zeros(len(x), *system.A.shape)
    if form == "chunked":
        return chunked_scan(x, system, state.to(dtype))
    s = system
    return native_scan.scan(x, s.dt, s.A, s.B, s.C, s.D, state.to(dtype), s.gain)


def scan_form(x: Tensor, *, plain: bool) -> Form:
    """Say which form scans a tensor: on CUDA the authors' kernel if it is installed.

    That one knows no first state and no gain, which is what `plain` says.
    """
    if plain and authors_kernels.has_scan(x):
        return "mamba_ssm"
    return "native" if x.device.type == "cpu" and native.level() else "chunked"


def chunked_scan(
    x: Float[Tensor, "b l d"], system: Selective, state: Float[Tensor, "b d n"]
) -> Scanned:
    """Scan in torch, the states of one chunk at a time, the twin of the compiled form.

    Nothing is ever divided by a product of decays, which may be zero. The gradient recomputes each
    chunk from the state before it.
    """
    s = system
    shared = (s.A,) if s.gain is None else (s.A, s.gain)
    y, (last,) = checkpointed_scan(_chunk, CHUNK, (state,), (x, s.dt, s.B, s.C), shared)
    return y + s.D * x, last


def naive_scan(
    x: Float[Tensor, "b l d"], system: Selective, state: Float[Tensor, "b d n"]
) -> Scanned:
    """Scan step by step, as the recurrence is written, the twin of the other forms."""
    s, outputs = system, [x[:, :0]]
    for t in range(x.shape[1]):
        decay = (s.dt[:, t, :, None] * s.A).exp()
        state = decay * state + (s.dt * x)[:, t, :, None] * s.B[:, t, None]
        outputs.append((state * _read(s.C[:, t : t + 1], s.gain)[:, 0]).sum(-1)[:, None])
    return torch.cat(outputs, 1) + s.D * x, state


def _chunk(
    start: tuple[Tensor],
    x: Tensor,
    dt: Tensor,
    B: Tensor,
    C: Tensor,
    *shared: Tensor,
) -> tuple[Tensor, tuple[Tensor]]:
    """Return what a chunk's states give, and the last of them."""
    A, *gain = shared
    states = walked((dt[..., None] * A).exp(), (dt * x)[..., None] * B[:, :, None], *start)
    # A view of the last state would keep all of them.
    last = states[:, -1].clone() if x.shape[1] else start[0]
    return (states * _read(C, *gain)).sum(-1), (last,)


def _read(C: Tensor, gain: Tensor | None = None) -> Tensor:
    """Return what multiplies the states, (b, l, 1 or d, n)."""
    return C[:, :, None] if gain is None else C[:, :, None] * gain
