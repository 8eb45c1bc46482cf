"""Softmax attention: fused forms, and the textbook form as their twin.

Axes: b batch, h heads, l queries, m keys, e features of a head. Layout (b, l, h, e), as xformers
has it and as the projections leave it.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b m h e"],
    v: Float[Tensor, "b m h e"],
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
        causal: Whether query i sees keys up to i only.
    """
    mask = None if valid is None else valid[:, None, None]
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    return mixed.transpose(1, 2)


def attend_xformers(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b m h e"],
    v: Float[Tensor, "b m h e"],
    lengths: Int[Tensor, " b"] | None = None,
    *,
    causal: bool = False,
) -> Float[Tensor, "b l h e"]:
    """Attend by xformers' memory-efficient kernels, which run on CUDA only.

    Sequences of different lengths are laid end to end, so no work is spent on padding.
    """
    from xformers.ops import fmha  # noqa: PLC0415 - on a CPU it has no operator, so it stays out

    if lengths is None:
        bias = fmha.attn_bias.LowerTriangularMask() if causal else None
        mixed: Tensor = fmha.memory_efficient_attention(q, k, v, attn_bias=bias)
        return mixed
    valid = torch.arange(q.shape[1], device=q.device) < lengths[:, None]
    bias = fmha.attn_bias.BlockDiagonalMask.from_seqlens(lengths.tolist())
    packed = (x[valid][None] for x in (q, k, v))
    blocks = fmha.memory_efficient_attention(
        *packed, attn_bias=bias.make_causal() if causal else bias
    )
    return torch.zeros_like(v).masked_scatter(valid[..., None, None], blocks)


def naive_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b m h e"],
    v: Float[Tensor, "b m h e"],
    valid: Bool[Tensor, "b m"] | None = None,
    *,
    causal: bool = False,
) -> Float[Tensor, "b l h e"]:
    """Attend as Vaswani et al. 2017 write it, with all (l, m) scores held."""
    scores = torch.einsum("blhe,bmhe->bhlm", q, k) / q.shape[-1] ** 0.5
    if valid is not None:
        scores = scores.masked_fill(~valid[:, None, None], -torch.inf)
    if causal:
        future = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    return torch.einsum("bhlm,bmhe->blhe", scores.softmax(-1), v)
