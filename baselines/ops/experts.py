"""Mixture of experts: each position goes through the few experts that a router prefers.

As in Jamba (Lieber et al. 2024), whose code takes the softmax over all experts, keeps the largest
weights as they are, and drops no position. Axis: d width.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from harness.api import SwiGLU


@final
class Experts(nn.Module):
    """A weighted sum of the `top` experts of each position; no loss balances their use."""

    def __init__(self, width: int, hidden: int, count: int, top: int) -> None:
        super().__init__()
        self.top = top
        self.router = nn.Linear(width, count, bias=False)
        self.experts = nn.ModuleList(SwiGLU(width, hidden, 0.0) for _ in range(count))

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """Map features, position by position: each expert computes its own positions only."""
        flat = x.reshape(-1, x.shape[-1])
        weights, chosen = self.router(flat).softmax(-1).topk(self.top, -1)
        mixed = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            at, rank = (chosen == number).nonzero(as_tuple=True)
            share = expert(flat[at]) * weights[at, rank, None]
            mixed = mixed.index_add(0, at, share.to(mixed.dtype))
        return mixed.view_as(x)


def naive_experts(layer: Experts, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Compute every expert at every position and drop what is not chosen, the twin of `Experts`."""
    weights = layer.router(x).softmax(-1)
    least = weights.sort(-1, descending=True).values[..., layer.top - 1, None]
    kept = torch.where(weights >= least, weights, 0.0)
    made = torch.stack([expert(x) for expert in layer.experts], -1)
    return (made * kept[..., None, :]).sum(-1)
