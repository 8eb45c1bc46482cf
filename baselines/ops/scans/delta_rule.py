"""The gated delta rule: a matrix state that forgets what it holds under a key before it writes.

Schlag et al. 2021, "Linear Transformers Are Secretly Fast Weight Programmers"; Yang et al. 2024,
"Parallelizing Linear Transformers with the Delta Rule over Sequence Length" and "Gated Delta
Networks". A head holds

    S' = Diag(f_t) S_{t-1},    S_t = S' + k_t (w_t v_t - S'^T (e_t k_t))^T,    y_t = S_t^T q_t.

With a unit key, e = w = 1 replaces the value under the key, and an erase gate up to 2 reflects it.
A position may take several such steps, each with its own key; it decays once, before the first, and
is read after the last (Siems et al. 2025, "DeltaProduct"). In a chunk, what the steps write is the
solution of a unit triangular system, since each one's depends on what those before it wrote. Decays
are given as their logarithms, which are never positive, and only differences of their sums are
raised, so nothing overflows.

Axes: b batch, l length, p steps of a position, h heads, k key features, v value features; n chunks,
r readers, s rows of a chunk.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans import by_fla
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.ssd import decays_between

CHUNK = 64
"""Positions whose products form one matrix."""
SMALLEST = 4
"""Positions of a block whose pairs are taken one by one where every key feature decays alone."""
SEGMENT = 1024
"""Positions of the whole batch whose matrices are held at a time."""
MOST_KEYS = 256
"""Features of the kernel in Triton."""

Queries = Float[Tensor, "b l h k"]
Keys = Float[Tensor, "b l p h k"]
Values = Float[Tensor, "b l p h v"]
Outputs = Float[Tensor, "b l h v"]
State = Float[Tensor, "b h k v"]


class Gates(NamedTuple):
    """What a position does to the state; a last axis of one is shared by all features."""

    log_decay: Float[Tensor, "b *l h #k"]
    """Logarithms of the decays f, finite and at most 0."""
    erase: Float[Tensor, "b *l p h #k"]
    """e, how much of what is read under the key is taken away."""
    write: Float[Tensor, "b *l p h #v"]
    """w, how much of the value is added."""


def delta_rule(q: Queries, k: Keys, v: Values, gates: Gates, state: State) -> tuple[Outputs, State]:
    """Return the outputs and the last state, chunk by chunk. Float32 at least.

    Args:
        q: Where in the state the output is read.
        k: Where in the state is erased and written, usually of length one.
        v: Values.
        gates: Decays, erase and write gates.
        state: Before the first position.
    """
    if not v.shape[1]:
        return v[:, :, 0], state
    shared = gates.erase.shape[-1] == gates.write.shape[-1] == 1
    steps, keys = k.shape[2], k.shape[-1]
    one_gate = gates.erase is gates.write and (steps == 1 or gates.log_decay.shape[-1] == 1)
    form = chosen(FORMS, v, shared=shared, one_gate=one_gate, steps=steps, keys=keys)
    result: tuple[Tensor, Tensor] = form.run(q, k, v, gates, state)
    return result


def chunked_delta_rule(
    q: Queries, k: Keys, v: Values, gates: Gates, state: State
) -> tuple[Outputs, State]:
    """Compute in torch, by segments.

    Memory O(b l p h (k + v)); matrices are recomputed for the gradient.
    """
    dtype = torch.promote_types(v.dtype, torch.float32)
    rows = max(1, SEGMENT // (CHUNK * max(1, len(v)) * v.shape[2])) * CHUNK
    inputs = tuple(part.to(dtype) for part in (q, k, v, *gates))
    with torch.autocast(v.device.type, enabled=False):
        y, (state,) = checkpointed_scan(_segment, rows, (state.to(dtype),), inputs)
    return y.to(v.dtype), state


def recurrent_delta_rule(
    q: Queries, k: Keys, v: Values, gates: Gates, state: State
) -> tuple[Outputs, State]:
    """Take the positions one by one, the twin of `delta_rule`."""
    outputs = []
    for now in range(q.shape[1]):
        state = gates.log_decay[:, now].exp()[..., None] * state
        each = (part[:, now].unbind(1) for part in (k, v, gates.erase, gates.write))
        for key, value, erase, write in zip(*each, strict=True):
            held = torch.einsum("bhk,bhkv->bhv", erase * key, state)
            state = state + torch.einsum("bhk,bhv->bhkv", key, write * value - held)
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, now], state))
    return torch.stack(outputs, 1), state


def _kernel_fits(x: Tensor, *, shared: bool, keys: int, **_: object) -> bool:
    """Say whether there are registers for columns of a state, and one gate for all features."""
    return x.dtype.is_floating_point and shared and keys <= MOST_KEYS


FORMS = (
    Form("fla", by_fla.delta_rule, by_fla.fits_rule),
    triton("delta_rule", _kernel_fits),
    Form("torch", chunked_delta_rule),
)


def delta_step(
    q: Float[Tensor, "b h k"],
    k: Float[Tensor, "b p h k"],
    v: Float[Tensor, "b p h v"],
    gates: Gates,
    state: State,
) -> tuple[Float[Tensor, "b h v"], State]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    state.mul_(gates.log_decay.exp()[..., None])
    each = (part.unbind(1) for part in (k, gates.erase * k, gates.write * v))
    for key, erased, value in zip(*each, strict=True):
        held = erased[..., None, :] @ state
        state.addcmul_(key[..., None], value[..., None, :] - held)
    return (q[..., None, :] @ state).squeeze(-2), state


def _segment(start: tuple[Tensor], *parts: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """Do a segment: all that needs no state for all chunks at once, then their states in turn."""
    (state,) = start
    steps = parts[1].shape[2]
    q, k, v, log_decay, erase, write = _chunks(*parts)
    # Small next to the rest, so in double: differences of the sums keep all their digits.
    total, erased = log_decay.double().cumsum(-2), erase * k
    since, until = (part.to(k) for part in (total.exp(), (total[..., -1:, :] - total).exp()))
    removed, read = pairs_between(torch.stack([erased, q], 2), k, total).unbind(2)
    known = torch.cat([write * v, erased * since], -1)
    solved = torch.linalg.solve_triangular(removed, known, upper=False, unitriangular=True)
    entering, written, inner = [], [], state.flatten(0, 1)
    each = (*solved.split([v.shape[-1], k.shape[-1]], -1), (k * until).mT, since[..., -1, :, None])
    for alone, taken, keys, decay in zip(*(part.unbind() for part in each), strict=True):
        entering.append(inner)
        written.append(torch.baddbmm(alone, taken, inner, alpha=-1))
        inner = torch.baddbmm(decay * inner, keys, written[-1])
    y = (q * since) @ torch.stack(entering) + read @ torch.stack(written)
    y = y.unflatten(1, state.shape[:2]).permute(1, 0, 3, 2, 4).flatten(1, 2)
    return y[:, steps - 1 : steps * parts[0].shape[1] : steps], (inner.view_as(state),)


def _chunks(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, erase: Tensor, write: Tensor
) -> list[Float[Tensor, "n bh s d"]]:
    """Lay all steps in a row and cut it into chunks, filled up with steps that change nothing."""
    length, steps = k.shape[1:3]
    size = min(CHUNK, 1 << (length * steps - 1).bit_length())
    read = F.pad(q[:, :, None], (0, 0, 0, 0, steps - 1, 0))
    decay = F.pad(log_decay[:, :, None], (0, 0, 0, 0, 0, steps - 1))
    filled = (0, 0, 0, 0, 0, -length * steps % size)
    return [
        F.pad(part.flatten(1, 2), filled)
        .unflatten(1, (-1, size))
        .permute(1, 0, 3, 2, 4)
        .flatten(1, 2)
        for part in (read, k, v, decay, erase, write)
    ]


def pairs_between(
    x: Float[Tensor, "*n r s k"], k: Float[Tensor, "*n s k"], total: Float[Tensor, "*n s #k"]
) -> Float[Tensor, "*n r s s"]:
    """Return x_t . Diag(f_{s+1} ... f_t) k_s for s <= t and zero above.

    Where features decay on their own, a chunk is halved: pairs across the middle are a product of
    two matrices, each decayed to there, and pairs within a half are as before.
    """
    readers, size = x.shape[-3:-1]
    if total.shape[-1] == 1:
        products: Tensor = (x.flatten(-3, -2) @ k.mT).unflatten(-2, (readers, size))
        return products * decays_between(total[..., 0])[..., None, :, :].to(k)
    if size <= SMALLEST:
        between = decays_between(total.mT).to(k)  # (*n k s s)
        direct: Tensor = torch.einsum("...rtk,...kts,...sk->...rts", x, between, k)
        return direct
    half = size // 2
    middle = total[..., half - 1 : half, :]
    since = (total[..., half:, :] - middle).to(k).exp()
    until = (middle - total[..., :half, :]).to(k).exp()
    late = (x[..., half:, :] * since[..., None, :, :]).flatten(-3, -2)
    across = (late @ (k[..., :half, :] * until).mT).unflatten(-2, (readers, half))
    x, k, total = (part.unflatten(-2, (2, half)) for part in (x, k, total))
    first, second = pairs_between(x.transpose(-4, -3), k, total).unbind(-4)
    return torch.cat([F.pad(first, (0, half)), torch.cat([across, second], -1)], -2)
