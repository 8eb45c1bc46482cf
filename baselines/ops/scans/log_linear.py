"""Log-linear attention: a recurrence that holds the past in blocks, each weighed on its own.

Guo et al. 2025, "Log-Linear Attention". Position t holds what came before it in blocks of 1, 2, 4,
... positions, those of a Fenwick tree: a past position s is in the block of level

    level(t, s) = bits of (t xor s),    level(t, t) = 0,

and what a plain recurrence would read from s counts scale_{t, level(t, s)} times. Any recurrence
S_t = T_t S_{t-1} + A_t whose output is S_t^T q_t can be weighed so, since T_t acts on the matrix of
every block alike; here those of `ssd` and of `delta_rule`. Levels beyond the last one share its
scale. At most one matrix a level is held, and a position costs as many reads.

A chunk takes all its pairs at once, and what is held enters it as a few matrices, each known by one
of the positions in it, by which its level can be told at any time.

Axes: b batch, l length, h heads, k key features, v value features, e levels, j levels but the first
one; n chunks, s rows of a chunk, x = b h.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.delta_rule import Gates, pairs_between
from baselines.ops.scans.ssd import decays_between
from harness.api import counted

CHUNK = 64
"""Positions whose pairs are taken at once, a power of two."""
SEGMENT = 1024
"""Positions of the whole batch whose matrices are held at a time."""

Keys = Float[Tensor, "b l h k"]
Values = Float[Tensor, "b l h v"]
Scales = Float[Tensor, "b l h e"]
LogLinearState = tuple[Float[Tensor, "b j h k v"], Int[Tensor, ""]]
"""What is held of each level but the present's, zero where nothing is, and how many positions."""


class Pieces(NamedTuple):
    """What a recurrence says of chunks, (n, x, ...) each."""

    values: Float[Tensor, "n x s v"]
    pairs: Float[Tensor, "n x s s"]
    """How much of a value each output has, were all scales one."""
    reads: Float[Tensor, "n x s k"]
    """Where in the matrix that enters a chunk each output is read."""
    ends: Float[Tensor, "n x k s"]
    """Where in the matrix that leaves it each value has come to."""
    moves: Float[Tensor, "n x #k k"]
    """What the matrix that enters is multiplied with on its way; a row is a diagonal."""


def log_linear_ssd(
    x: Values,
    log_a: Float[Tensor, "b l h"],
    B: Keys,
    C: Keys,
    scales: Scales,
    state: LogLinearState,
) -> tuple[Values, LogLinearState]:
    """Weigh the recurrence of `ssd` by levels.

    Memory O(b l h (k + v + e)); matrices are recomputed for the gradient. Float32 at least.

    Args:
        x: What a position adds to the matrices, its step size multiplied in.
        log_a: Logarithms of the decays, at most 0.
        B: Where in a matrix it is added, of every head.
        C: Where the output is read.
        scales: Of all levels, the present's first.
        state: Before the first position, which may stand anywhere.
    """
    return _scanned(_ssd_pieces, (x, log_a[..., None], B, C), scales, state)


def log_linear_delta(
    q: Keys, k: Keys, v: Values, gates: Gates, scales: Scales, state: LogLinearState
) -> tuple[Values, LogLinearState]:
    """Weigh the recurrence of `delta_rule` by levels; gates and keys have no axis of steps."""
    return _scanned(_delta_pieces, (v, q, k, *gates), scales, state)


def naive_log_linear(
    q: Keys,
    transition: Float[Tensor, "b l h k k"],
    added: Float[Tensor, "b l h k v"],
    scales: Scales,
) -> Values:
    """Hold a matrix for every past position and weigh each pair: the twin of both from nothing."""
    held: list[Tensor] = []
    outputs = []
    for t in range(q.shape[1]):
        held = [transition[:, t] @ matrix for matrix in held] + [added[:, t]]
        levels = [min((t ^ s).bit_length(), scales.shape[-1] - 1) for s in range(t + 1)]
        weighed = torch.stack(held, -1) * scales[:, t, :, None, None, levels]
        outputs.append(torch.einsum("bhk,bhkvs->bhv", q[:, t], weighed))
    return torch.stack(outputs, 1)


def log_linear_step(
    q: Float[Tensor, "b h k"],
    added: tuple[Float[Tensor, "b h k"], Float[Tensor, "b h v"]],
    move: Callable[[Float[Tensor, "b h k v"]], object],
    scales: Float[Tensor, "b h e"],
    state: LogLinearState,
) -> tuple[Float[Tensor, "b h v"], LogLinearState]:
    """Advance one position without gradients; returns the output and the state, made in place.

    Args:
        q: Where the matrices are read.
        added: The present's key and value.
        move: Takes a matrix past this position, in place.
        scales: Of all levels.
        state: Before this position.
    """
    held, position = state
    now, (key, value), top = counted(position), added, held.shape[1] - 1
    levels = _levels_held(now, top) if isinstance(now, int) else range(top + 1)
    y = ((q * key).sum(-1) * scales[..., 0])[..., None] * value
    for level in levels:
        matrix = held[:, level]
        move(matrix)
        y = y + ((q * scales[..., level + 1, None])[..., None, :] @ matrix).squeeze(-2)
    # The blocks below the lowest empty level are full: they and the present become the next one.
    if not isinstance(now, int):
        _join(held, now, key[..., None] * value[..., None, :])
        return y, (held, position + 1)
    target = min((now ^ now + 1).bit_length() - 1, top)
    joined = held[:, target].addcmul_(key[..., None], value[..., None, :])
    if target:
        joined += held[:, :target].sum(1)
        held[:, :target] = 0
    return y, (held, position + 1)


def _join(
    held: Float[Tensor, "b j h k v"], now: Int[Tensor, " 1"], present: Float[Tensor, "b h k v"]
) -> None:
    """Join the full blocks and the present at a position that nothing reads."""
    level = torch.arange(held.shape[1], device=held.device)[:, None, None, None]
    low = (now >> level.flatten() & 1).cumprod(0).sum()
    target = low.clamp(max=held.shape[1] - 1)
    joined = present + torch.where(level < target, held, 0).sum(1)
    held.masked_fill_(level < target, 0).add_(torch.where(level == target, joined[:, None], 0))


class _Held(NamedTuple):
    """Matrices of blocks, the nearest first, each with a position that is in its block.

    That position's level is the block's, now and whenever it is asked for later.
    """

    matrices: Float[Tensor, "x m k v"]
    members: list[int]

    def read(self, reads: Tensor, scales: Tensor, places: Tensor) -> Float[Tensor, "x s v"]:
        """Read all blocks at places, weighed."""
        members = torch.tensor(self.members, dtype=torch.long, device=places.device)
        levels = _bits(places[:, None] ^ members).clamp(max=scales.shape[-1] - 1)
        weights = scales.gather(-1, levels.expand(len(scales), -1, -1))
        weighed = weights[..., None] * reads[:, :, None]
        read: Tensor = weighed.flatten(2) @ self.matrices.flatten(1, 2)
        return read

    def moved(self, move: Float[Tensor, "x #k k"]) -> "_Held":
        """Take all past a chunk."""
        across = move[:, None]
        diagonal = move.shape[-2] == 1
        return self._replace(
            matrices=across.mT * self.matrices if diagonal else across @ self.matrices
        )

    def joined(self, matrices: Tensor, members: list[int], now: int, top: int) -> "_Held":
        """Take blocks in, and add up those that are of one level before a position."""
        every, groups = torch.cat([self.matrices, matrices], 1), dict[int, list[int]]()
        for number, member in enumerate(self.members + members):
            groups.setdefault(min((now ^ member).bit_length() - 1, top), []).append(number)
        ordered = [groups[level] for level in sorted(groups)]
        sums = torch.stack([every[:, group].sum(1) for group in ordered], 1)
        return _Held(
            sums, [min((self.members + members)[one] for one in group) for group in ordered]
        )


def _entering(state: Float[Tensor, "b j h k v"], now: int) -> _Held:
    """Return what a state holds before a position."""
    top = state.shape[1] - 1
    levels = _levels_held(now, top)
    # The lowest position of the top block is the first of all, the last one of another is known.
    members = [0 if level == top else (now >> level << level) - 1 for level in levels]
    return _Held(state.transpose(1, 2).flatten(0, 1)[:, levels], members)


def _leaving(held: _Held, now: int, like: Float[Tensor, "b j h k v"]) -> Tensor:
    """Return the state that holds it before a position."""
    top = like.shape[1] - 1
    levels = [min((now ^ member).bit_length() - 1, top) for member in held.members]
    number = torch.tensor(levels, dtype=torch.long, device=like.device)
    empty = held.matrices.new_zeros(len(held.matrices), top + 1, *like.shape[3:])
    state: Tensor = empty.index_copy(1, number, held.matrices)
    apart: Tensor = state.unflatten(0, (len(like), -1)).transpose(1, 2)
    return apart


def _levels_held(now: int, top: int) -> list[int]:
    """Return which matrices hold something before a position; the top one has all that is older."""
    low = [level for level in range(top) if now >> level & 1]
    return low + [top] * (now >> top > 0)


def _bits(numbers: Int[Tensor, "*t"]) -> Int[Tensor, "*t"]:
    """Return how many bits numbers have."""
    return torch.frexp(numbers.double()).exponent.long()


def _scanned(
    pieces: Callable[..., Pieces], inputs: tuple[Tensor, ...], scales: Tensor, state: LogLinearState
) -> tuple[Tensor, LogLinearState]:
    """Run from any position on, which stands in its chunk behind ones that change nothing."""
    held, position = state
    values, length = inputs[0], scales.shape[1]
    if not length:
        return values, state
    dtype = torch.promote_types(values.dtype, torch.float32)
    start = int(position)
    ahead = start % CHUNK
    rows = max(1, SEGMENT // (CHUNK * max(1, len(values)))) * CHUNK
    places = torch.arange(start - ahead, start + length, device=values.device)[None]
    filled = (F.pad(part.to(dtype), (0, 0, 0, 0, ahead, 0)) for part in (scales, *inputs))
    with torch.autocast(values.device.type, enabled=False):
        y, (held,) = checkpointed_scan(
            partial(_segment, pieces, start), rows, (held.to(dtype),), (places, *filled)
        )
    return y[:, ahead:].to(values.dtype), (held, position + length)


def _segment(
    pieces: Callable[..., Pieces],
    origin: int,
    start: tuple[Tensor],
    places: Tensor,
    scales: Tensor,
    *inputs: Tensor,
) -> tuple[Tensor, tuple[Tensor]]:
    """Do a segment: pairs and moves of all chunks at once, then what is held, chunk by chunk."""
    (state,) = start
    first, stop, top = int(places[0, 0]), int(places[0, -1]) + 1, state.shape[1] - 1
    weights, made = _chunks(scales), pieces(*(_chunks(part) for part in inputs))
    rows = torch.arange(CHUNK, device=scales.device)
    within = _bits(rows[:, None] ^ rows).clamp(max=scales.shape[-1] - 1)
    y = (made.pairs * weights.gather(-1, within.expand(made.pairs.shape))) @ made.values
    added = made.ends @ made.values
    # What is held at first is as the first real position finds it, not those that fill its chunk.
    held, outputs = _entering(state, max(first, origin)), []
    for chunk, place in enumerate(range(first, stop, CHUNK)):
        read = held.read(made.reads[chunk], weights[chunk], place + rows)
        outputs.append(y[chunk] + read)
        held, end = held.moved(made.moves[chunk]), min(place + CHUNK, stop)
        if end == place + CHUNK:
            held = held.joined(added[chunk][:, None], [place], end, top)
            continue
        # The chunk goes on: what it has added so far is held in blocks of its own.
        low = torch.tensor(_levels_held(end - place, CHUNK), device=rows.device)
        block = _bits(place + rows ^ end) == low[:, None] + 1
        own = (made.ends[chunk][:, None] * block[:, None]) @ made.values[chunk][:, None]
        held = held.joined(own, [(end >> n << n) - 1 for n in low.tolist()], end, top)
    joined = torch.stack(outputs).unflatten(1, (len(state), -1)).permute(1, 0, 3, 2, 4)
    return joined.flatten(1, 2)[:, : stop - first], (_leaving(held, stop, state),)


def _chunks(part: Float[Tensor, "b l h d"]) -> Float[Tensor, "n x s d"]:
    """Cut into chunks, filled up with positions that change nothing."""
    filled = F.pad(part, (0, 0, 0, 0, 0, -part.shape[1] % CHUNK))
    chunks: Tensor = filled.unflatten(1, (-1, CHUNK)).permute(1, 0, 3, 2, 4).flatten(1, 2)
    return chunks


def _ssd_pieces(x: Tensor, log_a: Tensor, B: Tensor, C: Tensor) -> Pieces:
    # Small next to the rest, so in double: differences of the sums keep all their digits.
    total = log_a.double().cumsum(-2)
    since, until = (part.to(x) for part in (total.exp(), (total[..., -1:, :] - total).exp()))
    pairs = (C @ B.mT) * decays_between(total[..., 0]).to(x)
    moves = since[..., -1:, :].expand(*since.shape[:-2], 1, B.shape[-1])
    return Pieces(x, pairs, C * since, (B * until).mT, moves)


def _delta_pieces(
    v: Tensor, q: Tensor, k: Tensor, log_decay: Tensor, erase: Tensor, write: Tensor
) -> Pieces:
    total, erased = log_decay.double().cumsum(-2), erase * k
    since, until = (part.to(k) for part in (total.exp(), (total[..., -1:, :] - total).exp()))
    removed, read = pairs_between(torch.stack([erased, q], 2), k, total).unbind(2)
    eye = torch.eye(CHUNK, dtype=k.dtype, device=k.device).expand_as(removed)
    solved = torch.linalg.solve_triangular(removed, eye, upper=False, unitriangular=True)
    taken, last = solved @ (erased * since), (k * until).mT
    moves = torch.diag_embed(since[..., -1, :].expand_as(k[..., -1, :])) - last @ taken
    return Pieces(write * v, read @ solved, q * since - read @ taken, last @ solved, moves)
