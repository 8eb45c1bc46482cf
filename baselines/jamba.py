"""Jamba: Mamba layers with one of attention among them, and a gated feed-forward map after each.

Lieber et al. 2024, "Jamba: A Hybrid Transformer-Mamba Language Model". Of every 8 layers, number 4
(from 0) is attention with fewer heads of keys and values; it has no positions, which the Mamba
layers before it bring. Fewer than 8 layers have one of attention in the middle, number n // 2, a
single layer none. dt, B and C of Mamba pass an RMS norm each. Not causal (the paper has no such
form), attention is full and Mamba runs in both directions, as in `mamba`. The sizes are those of
the released model, except for the heads. Experts are as in its code, which takes the softmax over
all of them, leaves the largest weights as they are, and drops no position.

Axis: d width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines.ops.attention.heads import Heads
from baselines.ops.layers.attention_layer import AttentionLayer
from baselines.ops.layers.mamba_layer import MambaLayer, SelectionForm
from harness.api import Mixer, Model, ParameterGroup, SpecError, SwiGLU, Trunk, recording

PERIOD, OFFSET = 8, 4
HIDDEN = 3.5
"""Hidden width of the feed-forward map: 14,336 for a width of 4,096."""


@final
@dataclass(frozen=True, kw_only=True)
class Jamba(Model):
    """Mamba with some attention."""

    heads: int = 4
    """Heads of the attention."""
    kv_heads: int = 1
    """Heads of keys and values, each for a group of the queries' heads."""
    state: int = 16
    """N, states of a Mamba layer's channel."""
    experts: int = 0
    """Feed-forward maps of every second layer, among which a router chooses; 0 for a single one."""
    top: int = 2
    """Experts that each position goes through, if there are any."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=HIDDEN, ffn_form="swiglu")
    groups: ClassVar[dict[str, ParameterGroup]] = dict.fromkeys(("A_log", "D"), ParameterGroup())
    reference: ClassVar[str] = "lieber2024jamba, gu2023mamba, ainslie2023gqa"

    def __post_init__(self) -> None:
        if min(self.heads, self.kv_heads, self.state) < 1 or self.heads % self.kv_heads:
            raise SpecError(
                f"heads, kv_heads and state must be positive, and kv_heads divide heads, not "
                f"{self.heads}, {self.kv_heads}, {self.state}."
            )
        if self.experts < 0 or not 1 <= self.top <= (self.experts or self.top):
            raise SpecError(
                f"top must be from 1 to experts, if any, not {self.top} of {self.experts}."
            )
        if not self.experts and self.top != Jamba.top:
            raise SpecError("Without experts nothing is chosen: leave top alone, or set experts.")

    def build(self, *, width: int, length: int, causal: bool) -> MambaLayer:  # noqa: ARG002
        """Build a Mamba layer, which most layers are; it needs no length."""
        return MambaLayer(SelectionForm(state=self.state, normed=True), width, causal=causal)

    def stack(self, *, depth: int, width: int, length: int, causal: bool) -> Sequence[Mixer]:
        """Build the layers, attention where it belongs.

        Raises:
            SpecError: The width does not divide into the heads of attention.
        """
        offset = OFFSET if depth >= PERIOD else depth // 2
        mixers: list[Mixer] = []
        for layer in range(depth):
            if depth > 1 and layer % PERIOD == offset:
                heads = Heads(width, self.heads, self.kv_heads, "none")
                mixers.append(AttentionLayer(width, heads, "auto", causal=causal))
            else:
                mixers.append(self.build(width=width, length=length, causal=causal))
        return mixers

    def feed_forward(self, *, width: int, layer: int) -> nn.Module | None:
        """Build experts for the odd layers, if there are any."""
        if not self.experts or layer % 2 == 0:
            return None
        return Experts(width, round(HIDDEN * width), self.experts, self.top)


@final
class Experts(nn.Module):
    """A weighted sum of the `top` experts of each position; no loss balances their use."""

    def __init__(self, width: int, hidden: int, count: int, top: int) -> None:
        super().__init__()
        self.top = top
        self.router = nn.Linear(width, count, bias=False)
        self.experts = nn.ModuleList(SwiGLU(width, hidden, 0.0) for _ in range(count))

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """Map features, position by position: each expert computes its own positions only.

        In a step that is recorded nothing can know them, so each computes all.
        """
        if recording():
            return naive_experts(self, x)
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
    chosen = torch.where(weights >= least, weights, 0.0)
    outputs = torch.stack([expert(x) for expert in layer.experts], -1)
    return (outputs * chosen[..., None, :]).sum(-1)
