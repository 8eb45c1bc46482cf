"""Softmax attention: fused forms, and the textbook form as their twin.

There may be fewer heads of keys and values than of queries: each then serves as many neighbours
(arXiv 2305.13245). There may be fewer queries than keys: the queries are the last positions.

Axes: b batch, h heads of queries, g heads of keys and values, l queries, m keys, e features of a
head. Layout (b, l, h, e), as xformers has it and as the projections leave it.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from harness.api import SpecError, valid_positions

QUERIES = 1024
"""Queries that share a mask when some keys lie before all of them."""


def attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b m g e"],
    v: Float[Tensor, "b m g e"],
    valid: Bool[Tensor, "b m"] | None = None,
    *,
    causal: bool = False,
) -> Float[Tensor, "b l h e"]:
    """Attend by torch's fused kernel, which never holds the (l, m) scores.

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        valid: Keys that may be seen; None for all. A mask may cost torch its flash kernel.
        causal: Whether a position sees keys up to its own only.
    """
    if q.shape[1] == 1:
        causal = False  # it is the last position, from which all keys lie in the past
    if not causal or q.shape[1] == k.shape[1]:
        return _fused(q, k, v, None if valid is None else valid[:, None, None], causal=causal)
    # torch counts both from the first, so here it needs a mask; blocks of queries keep it small.
    mixed, end = [], k.shape[1] - q.shape[1]
    for rows in q.split(QUERIES, 1):
        end += rows.shape[1]
        visible = torch.ones(rows.shape[1], end, dtype=torch.bool, device=q.device)
        mask = visible.tril(end - rows.shape[1])
        if valid is not None:
            mask = mask & valid[:, None, None, :end]
        mixed.append(_fused(rows, k[:, :end], v[:, :end], mask))
    return torch.cat(mixed, 1)


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, causal: bool = False) -> Tensor:
    grouped = q.shape[2] != k.shape[2]
    if grouped and q.is_cuda and (mask is not None or q.dtype.itemsize > 2):
        # On CUDA only torch's flash kernel takes groups; for others it would hold all scores.
        k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], 2) for x in (k, v))
        grouped = False
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    mixed = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped
    )
    return mixed.transpose(1, 2)


def attend_xformers(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l g e"],
    v: Float[Tensor, "b l g e"],
    lengths: Int[Tensor, " b"] | None = None,
    *,
    causal: bool = False,
) -> Float[Tensor, "b l h e"]:
    """Attend by xformers' memory-efficient kernels, which run on CUDA only.

    Sequences of different lengths are laid end to end, so no work is spent on padding.

    Raises:
        SpecError: xformers has no kernel for these tensors, or its compiled part does not load.
    """
    try:
        from xformers.ops import fmha  # noqa: PLC0415 - on a CPU it has no operator, so it stays out

        k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], 2) for x in (k, v))
        if lengths is None:
            bias = fmha.attn_bias.LowerTriangularMask() if causal else None
            mixed: Tensor = fmha.memory_efficient_attention(q, k, v, attn_bias=bias)
            return mixed
        valid = valid_positions(q, lengths)
        bias = fmha.attn_bias.BlockDiagonalMask.from_seqlens(lengths.tolist())
        packed = (x[valid][None] for x in (q, k, v))
        blocks = fmha.memory_efficient_attention(
            *packed, attn_bias=bias.make_causal() if causal else bias
        )
    except (ImportError, OSError, NotImplementedError) as error:
        said = str(error).partition(" with inputs")[0].partition("\n")[0].rstrip(" :.")
        raise SpecError(
            f"xformers refuses attention on {q.device.type} in {str(q.dtype)[6:]} ({said}); "
            f"use backend=auto."
        ) from error
    return torch.zeros_like(v).masked_scatter(valid[..., None, None], blocks)


def naive_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b m g e"],
    v: Float[Tensor, "b m g e"],
    valid: Bool[Tensor, "b m"] | None = None,
    *,
    causal: bool = False,
) -> Float[Tensor, "b l h e"]:
    """Attend as Vaswani et al. 2017 write it, with all (l, m) scores held."""
    k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], 2) for x in (k, v))
    scores = torch.einsum("blhe,bmhe->bhlm", q, k) / q.shape[-1] ** 0.5
    if valid is not None:
        scores = scores.masked_fill(~valid[:, None, None], -torch.inf)
    if causal:
        future = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool, device=q.device)
        scores = scores.masked_fill(future.triu(1 + k.shape[1] - q.shape[1]), -torch.inf)
    return torch.einsum("bhlm,bmhe->blhe", scores.softmax(-1), v)
