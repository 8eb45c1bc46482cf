"""Gated linear attention: a matrix state whose rows decay on their own, by matrix products.

Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient Training"; HGRN2 is
one. Each head holds

    S_t = Diag(f_t) S_{t-1} + k_t v_t^T,    y_t = S_t^T q_t.

Every factor between two positions is a product of the gates between them, made as a product: it
neither overflows nor loses digits, as quotients or differences of logarithms would, and a gate may
be zero. Three forms: another package's, a kernel in Triton, and torch, by blocks.

Axes: b batch, l length, h heads, k key features, v value features.
"""

from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans import by_fla
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.gated_scan import gated_scan
from baselines.ops.scans.ssd import fits_tiles

SMALLEST = 4
"""Positions of the smallest blocks, whose pairs are taken lag by lag."""
CHUNK = 64
"""Positions up to which blocks are joined two by two; beyond, states carry what is past."""
SEGMENT = 1024
"""Positions of the whole batch whose products are held at a time."""

Keys = Float[Tensor, "b l h k"]
Values = Float[Tensor, "b l h v"]
State = Float[Tensor, "b h k v"]


def gla(q: Keys, k: Keys, v: Values, f: Keys, state: State) -> tuple[Values, State]:
    """Return the outputs, as precise as v, and the last state, in float32 at least.

    Memory O(b l h (k + v)); products are computed again for the gradient.

    Args:
        q: Where in the state the output is read.
        k: Where in the state a value is added.
        v: Values.
        f: Gates in [0, 1].
        state: Before the first position.
    """
    form = chosen(FORMS, v, widest=max(state.shape[2:]))
    scanned: tuple[Tensor, Tensor] = form.run(q, k, v, f, state)
    return scanned


def joined_gla(q: Keys, k: Keys, v: Values, f: Keys, state: State) -> tuple[Values, State]:
    """Scan in torch, by blocks that are joined two by two.

    Pairs of positions meet in the smallest block that holds both: through the products of gates
    from the earlier one to the block's middle, and from there to the later one.
    """
    dtype = torch.promote_types(v.dtype, torch.float32)
    rows = max(1, SEGMENT // (CHUNK * max(1, len(q)))) * CHUNK
    inputs = tuple(part.to(dtype) for part in (q, k, v, f))
    with torch.autocast(v.device.type, enabled=False):
        y, (state,) = checkpointed_scan(_segment, rows, (state.to(dtype),), inputs)
    return y.to(v.dtype), state


def quadratic_gla(q: Keys, k: Keys, v: Values, f: Keys, state: State) -> tuple[Values, State]:
    """Do the same with all pairs at once, their factors from sums of logarithms; a twin of `gla`.

    Gates must not be zero.
    """
    total = f.log().cumsum(1)
    future = torch.ones(f.shape[1], f.shape[1], dtype=torch.bool, device=f.device).triu(1)
    between = total[:, :, None] - total[:, None]
    between = between.masked_fill(future[..., None, None], -torch.inf).exp()
    y = torch.einsum("bthk,btshk,bshk,bshv->bthv", q, between, k, v)
    y = y + torch.einsum("bthk,bthk,bhkv->bthv", q, total.exp(), state)
    last = torch.einsum("bshk,bshk,bshv->bhkv", between[:, -1], k, v)
    return y, last + total[:, -1, ..., None].exp() * state


def recurrent_gla(q: Keys, k: Keys, v: Values, f: Keys, state: State) -> tuple[Values, State]:
    """Take the positions one by one, a twin of `gla`."""
    outputs = []
    for now in range(q.shape[1]):
        state = f[:, now, :, :, None] * state + k[:, now, :, :, None] * v[:, now, :, None]
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, now], state))
    return torch.stack(outputs, 1), state


FORMS = (
    Form("fla", by_fla.gla, by_fla.fits),
    triton("matrix_scan", fits_tiles, lambda q, k, v, f, state: (q, k, v, state, f)),
    Form("torch", joined_gla),
)


def gla_step(
    q: Float[Tensor, "b h k"],
    k: Float[Tensor, "b h k"],
    v: Float[Tensor, "b h v"],
    f: Float[Tensor, "b h k"],
    state: State,
) -> tuple[Float[Tensor, "b h v"], State]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    state.mul_(f[..., None]).addcmul_(k[..., None], v[..., None, :])
    return (q[..., None, :] @ state).squeeze(-2), state


def _segment(
    start: tuple[Tensor], q: Tensor, k: Tensor, v: Tensor, f: Tensor
) -> tuple[Tensor, tuple[Tensor]]:
    """Do a segment: pairs in the smallest blocks, blocks joined up to chunks, states in between."""
    (state,) = start
    length = q.shape[1]
    chunk = min(CHUNK, max(SMALLEST, 1 << (length - 1).bit_length()))
    # Padding adds nothing and decays nothing.
    q, k, v, f = (
        F.pad(part.transpose(1, 2), (0, 0, 0, -length % chunk), value=value).unflatten(
            2, (-1, SMALLEST)
        )
        for part, value in ((q, 0.0), (k, 0.0), (v, 0.0), (f, 1.0))
    )
    y, since, until = _lag_by_lag(q, k, v, f), *_products(f)
    while q.shape[3] < chunk:
        q, k, v, y, since, until = _joined(q, k, v, y, since, until)
    added = ((k * until).mT @ v).transpose(1, 2)
    decay = since[..., -1, :, None].transpose(1, 2).expand_as(added)
    states, last = gated_scan(decay.flatten(2), added.flatten(2), state.flatten(1))
    entering = torch.cat([state[:, None], states[:, :-1].unflatten(2, state.shape[1:])], 1)
    y = y + (q * since) @ entering.transpose(1, 2)
    return y.flatten(2, 3).transpose(1, 2)[:, :length], (last.view_as(state),)


def _lag_by_lag(q: Tensor, k: Tensor, v: Tensor, f: Tensor) -> Tensor:
    """Return the outputs of (b h c s *) blocks from zero states."""
    y = (q * k).sum(-1, keepdim=True) * v
    between = f[..., 1:, :]
    for lag in range(1, q.shape[3]):
        pair = (q[..., lag:, :] * between * k[..., :-lag, :]).sum(-1, keepdim=True)
        y = y + F.pad(pair * v[..., :-lag, :], (0, 0, lag, 0))
        between = between[..., 1:, :] * f[..., 1:-lag, :]
    return y


def _products(f: Tensor) -> tuple[Tensor, Tensor]:
    """Return the products of a block's gates up to each position, and after it."""
    gates = f.unbind(-2)
    since, until = list(accumulate(gates, torch.mul)), [torch.ones_like(gates[0])]
    for gate in gates[:0:-1]:
        until.insert(0, until[0] * gate)
    return torch.stack(since, -2), torch.stack(until, -2)


def _joined(
    q: Tensor, k: Tensor, v: Tensor, y: Tensor, since: Tensor, until: Tensor
) -> tuple[Tensor, ...]:
    """Join neighbouring blocks: the later one's positions read what the earlier one's added."""
    halves = [part.unflatten(2, (-1, 2)).unbind(3) for part in (q, k, v, y, since, until)]
    (_, q2), (k1, _), (v1, _), (y1, y2), (since1, since2), (until1, until2) = halves
    y2 = y2 + ((q2 * since2) @ (k1 * until1).mT) @ v1
    since2 = since2 * since1[..., -1:, :]
    until1 = until1 * halves[4][1][..., -1:, :]
    q, k, v = (part.unflatten(2, (-1, 2)).flatten(3, 4) for part in (q, k, v))
    joined = ((y1, y2), (since1, since2), (until1, until2))
    return q, k, v, *(torch.cat(pair, 3) for pair in joined)
