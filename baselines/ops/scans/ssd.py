"""State space duality: the recurrence of Mamba-2 by matrix products.

Dao, Gu 2024, "Transformers are SSMs". A head holds a matrix that decays by one number a position,

    H_t = a_t H_{t-1} + B_t (dt_t x_t)^T,    y_t = H_t^T C_t,

which is y = (M * (C B^T)) (dt x), M_ts = a_{s+1} ... a_t for s <= t. Heads of a group share B, C.
Decays are given as their logarithms, which are never positive, and only differences of their sums
are raised, so nothing overflows. Other packages' forms, a kernel in Triton, and torch, by chunks.

Axes: b batch, l length, g groups, h heads, n state, p features of a head.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans import by_fla, by_mamba_ssm
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.gated_scan import gated_scan

CHUNK = 64
"""Positions whose products form one matrix."""
SEGMENT = 1024
"""Positions of the whole batch whose matrices are held at a time."""
WIDEST = 256
"""Rows or columns of a state at most in a kernel, whose programs hold all of either."""

State = Float[Tensor, "b h n p"]


def ssd(
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    log_a: Float[Tensor, "b l h"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
    state: State,
) -> tuple[Float[Tensor, "b l h p"], State]:
    """Return the outputs, as precise as x, and the last state, in float32 at least.

    Memory O(b l (h p + g n)); what is between is computed again for the gradient.

    Args:
        x: What a position adds to the state, times its step size.
        dt: Step sizes; multiplied with x piece by piece, so that no second x is held.
        log_a: Logarithms of the decays, at most 0.
        B: Where in the state it is added.
        C: Where the output is read.
        state: Before the first position.
    """
    if not x.shape[1]:
        return x, state
    form = chosen(FORMS, x, widest=max(state.shape[2:]))
    scanned: tuple[Tensor, Tensor] = form.run(x, dt, log_a, B, C, state)
    return scanned


def rated_ssd(
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    rates: Float[Tensor, " h"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
    state: State,
) -> tuple[Float[Tensor, "b l h p"], State]:
    """Return the same where log_a is dt times a rate of each head, which is never positive."""
    if not x.shape[1]:
        return x, state
    form = chosen(RATED, x, widest=max(state.shape[2:]))
    scanned: tuple[Tensor, Tensor] = form.run(x, dt, rates, B, C, state)
    return scanned


def chunked_ssd(
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    log_a: Float[Tensor, "b l h"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
    state: State,
) -> tuple[Float[Tensor, "b l h p"], State]:
    """Scan in torch, chunk by chunk (the paper's section 6).

    Inside a chunk the quadratic form, between chunks the recurrence of their states.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    rows = max(1, SEGMENT // (CHUNK * max(1, len(x)))) * CHUNK
    inputs = tuple(part.to(dtype) for part in (x, dt, log_a, B, C))
    with torch.autocast(x.device.type, enabled=False):
        y, (state,) = checkpointed_scan(_segment, rows, (state.to(dtype),), inputs)
    return y.to(x.dtype), state


def quadratic_ssd(
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    log_a: Float[Tensor, "b l h"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
    state: State,
) -> tuple[Float[Tensor, "b l h p"], State]:
    """Do the same with one matrix of all pairs of positions, a twin of `ssd`."""
    repeats = x.shape[2] // B.shape[2]
    B, C = B.repeat_interleave(repeats, 2), C.repeat_interleave(repeats, 2)
    x, total = x * dt[..., None], log_a.cumsum(1)
    y = torch.einsum("bthn,bshn,bhts,bshp->bthp", C, B, decays_between(total.mT), x)
    y = y + torch.einsum("bthn,bth,bhnp->bthp", C, total.exp(), state)
    left = (total[:, -1:] - total).exp()
    last = torch.einsum("bshn,bsh,bshp->bhnp", B, left, x)
    return y, last + total[:, -1, :, None, None].exp() * state


def recurrent_ssd(
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    log_a: Float[Tensor, "b l h"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
    state: State,
) -> tuple[Float[Tensor, "b l h p"], State]:
    """Take the positions one by one, a twin of `ssd`."""
    repeats, outputs = x.shape[2] // B.shape[2], []
    B, C = B.repeat_interleave(repeats, 2), C.repeat_interleave(repeats, 2)
    for now in range(x.shape[1]):
        added = torch.einsum("bhn,bhp->bhnp", B[:, now], dt[:, now, :, None] * x[:, now])
        state = log_a[:, now].exp()[..., None, None] * state + added
        outputs.append(torch.einsum("bhn,bhnp->bhp", C[:, now], state))
    return torch.stack(outputs, 1), state


def fits_tiles(x: Tensor, *, widest: int) -> bool:
    """Say whether a program of a kernel can hold so many rows or columns of a state."""
    del x
    return widest <= WIDEST


def _in_order(
    x: Tensor, dt: Tensor, log_a: Tensor, B: Tensor, C: Tensor, state: Tensor
) -> tuple[Tensor, ...]:
    """Return queries, keys, values, the state, decays and weights."""
    return C, B, x, state, log_a, dt


FORMS = (
    Form("fla", by_fla.ssd, by_fla.fits),
    triton("matrix_scan", fits_tiles, _in_order),
    Form("torch", chunked_ssd),
)


def _of_rates(by: Form) -> Form:
    """Let a form take rates."""
    return by._replace(run=lambda x, dt, rates, *rest: by.run(x, dt, dt * rates, *rest))


RATED = (
    Form("mamba_ssm", by_mamba_ssm.rated_ssd, by_mamba_ssm.fits_duality),
    *map(_of_rates, FORMS),
)


def ssd_step(
    x: Float[Tensor, "b h p"],
    dt: Float[Tensor, "b h"],
    log_a: Float[Tensor, "b h"],
    B: Float[Tensor, "b g n"],
    C: Float[Tensor, "b g n"],
    state: State,
) -> tuple[Float[Tensor, "b h p"], State]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    groups = state.unflatten(1, (B.shape[1], -1))
    added = (dt[..., None] * x).view(*groups.shape[:3], 1, -1)
    groups.mul_(log_a.exp().view(*groups.shape[:3], 1, 1)).addcmul_(B[:, :, None, :, None], added)
    return (C[:, :, None, None] @ groups).view_as(x), state


def decays_between(total: Float[Tensor, "*n s"]) -> Float[Tensor, "*n s s"]:
    """Return exp(total_t - total_s) for s <= t and zero above, from sums of logarithms."""
    size = total.shape[-1]
    future = torch.ones(size, size, dtype=torch.bool, device=total.device).triu(1)
    # Masked before the exponential: above the diagonal the exponents are positive.
    return (total[..., :, None] - total[..., None, :]).masked_fill(future, -torch.inf).exp()


def _segment(
    start: tuple[Tensor], x: Tensor, dt: Tensor, log_a: Tensor, B: Tensor, C: Tensor
) -> tuple[Tensor, tuple[Tensor]]:
    """Do a segment: padded with positions that add and decay nothing, all its chunks at once."""
    (state,) = start
    length, groups = B.shape[1:3]
    size = min(CHUNK, length)
    x, log_a, B, C = (
        F.pad(part, (0, 0) * (part.ndim - 2) + (0, -length % size)).unflatten(1, (-1, size))
        for part in (x * dt[..., None], log_a, B, C)
    )
    # To (b c g ...): heads side by side, since one product with B or C then serves a whole group.
    x = x.unflatten(3, (groups, -1)).movedim(3, 2)
    # Small next to the rest, so in double: differences of the sums keep all their digits.
    total = log_a.double().unflatten(3, (groups, -1)).movedim(2, -1).cumsum(-1)
    B, C = B.movedim(3, 2), C.movedim(3, 2)
    decays, left, reached = (
        part.to(x.dtype)
        for part in (decays_between(total), (total[..., -1:] - total).exp().mT, total.exp().mT)
    )
    within = ((C @ B.mT)[:, :, :, None] * decays) @ x.movedim(-2, 3)
    added = (B.mT @ (x * left[..., None]).flatten(-2)).unflatten(-1, x.shape[-2:])
    decay = reached[:, :, :, -1, None, :, None].expand_as(added)
    state = state.unflatten(1, (groups, -1)).movedim(2, 3)
    states, last = gated_scan(decay.flatten(2), added.flatten(2), state.flatten(1))
    entering = torch.cat([state[:, None], states[:, :-1].unflatten(2, state.shape[1:])], 1)
    before = (C @ entering.flatten(-2)).unflatten(-1, x.shape[-2:]) * reached[..., None]
    y = (before + within.movedim(3, -2)).movedim(2, 3).flatten(3, 4).flatten(1, 2)
    return y[:, :length], (last.view(state.shape).movedim(3, 2).flatten(1, 2),)
