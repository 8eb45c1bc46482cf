"""Softmax attention within windows and to their neighbours: time and memory linear in the length.

Axes: b batch, l queries, m keys, h heads, e features of a head.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.attention.softmax_attention import attend
from harness.api import valid_positions


def attend_causal_windows(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b m h e"],
    v: Float[Tensor, "b m h e"],
    chunk: int,
) -> Float[Tensor, "b l h e"]:
    """Attend to the own window, up to the query, and to the whole window before it.

    Args:
        q: Queries, the last positions if they are fewer than the keys.
        k: Keys; the first one begins a window.
        v: Values.
        chunk: Positions of a window.
    """
    length, past = q.shape[1], k.shape[1] - q.shape[1]
    q = F.pad(q, (0, 0, 0, 0, past, 0))
    mixed = attend(q[:, :chunk], k[:, :chunk], v[:, :chunk], causal=True)
    if k.shape[1] > chunk:
        pairs = (_side_by_side(_windows(x, chunk), 2) for x in (k, v))
        later = attend(_windows(q[:, chunk:], chunk).flatten(0, 1), *pairs, causal=True)
        mixed = torch.cat([mixed, later.unflatten(0, (len(q), -1)).flatten(1, 2)], 1)
    return mixed[:, past : past + length]


def attend_windows(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    lengths: Int[Tensor, " b"] | None,
    chunk: int,
) -> Float[Tensor, "b l h e"]:
    """Attend to the own window and to those before and after it, as far as positions are valid."""
    batch, length = q.shape[:2]
    if length <= chunk and lengths is None:
        return attend(q, k, v)
    ends = torch.full((batch,), length, device=q.device) if lengths is None else lengths
    valid = valid_positions(q, ends)
    around = (0, 0, 0, 0, chunk, chunk)
    triples = (
        _side_by_side(_windows(F.pad(x, around), chunk), 3) for x in (k, v, valid[..., None, None])
    )
    keys, values, visible = triples
    visible = visible[:, :, 0, 0]
    # Where all is padding a query sees all of it, since a softmax over nothing is not a number.
    visible = visible | ~visible.any(1, keepdim=True)
    mixed = attend(_windows(q, chunk).flatten(0, 1), keys, values, visible)
    joined: Tensor = mixed.unflatten(0, (batch, -1)).flatten(1, 2)
    return joined[:, :length]


def naive_attend_windows(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    chunk: int,
    *,
    causal: bool,
) -> Float[Tensor, "b l h e"]:
    """Attend with all scores held, the twin of `attend_causal_windows` and `attend_windows`."""
    at = torch.arange(q.shape[1], device=q.device)
    distance = at[:, None] // chunk - at // chunk
    visible = (distance <= 1) & (at <= at[:, None]) if causal else distance.abs() <= 1
    scores = torch.einsum("blhe,bmhe->bhlm", q, k) / q.shape[-1] ** 0.5
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    return torch.einsum("bhlm,bmhe->blhe", weights, v)


def _windows(x: Tensor, chunk: int) -> Tensor:
    """Cut (b, l, ...) into (b, windows, chunk, ...), with zeros at the end."""
    padded = F.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % chunk))
    windows: Tensor = padded.unflatten(1, (-1, chunk))
    return windows


def _side_by_side(windows: Tensor, count: int) -> Tensor:
    """Join `count` neighbours: (b, w, chunk, ...) to (b (w - count + 1), count chunk, ...)."""
    last = windows.shape[1] - count + 1
    shifted = [windows[:, first : first + last] for first in range(count)]
    return torch.cat(shifted, 2).flatten(0, 1)
