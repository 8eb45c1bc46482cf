"""The layer of attention by kernel features: a state of fixed size instead of a cache.

Axes: b batch, l length, d width, h heads, f features of the kernel, w = features of a head + 1.
"""

from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.attention.heads import Heads
from baselines.ops.attention.kernel_attention import (
    FORMS,
    FeatureMap,
    causal_attend,
    empty_sums,
    global_attend,
    kernel_attention_step,
)
from baselines.ops.forms import chosen
from baselines.ops.rows import Position
from harness.api import Mixer, counted, valid_positions

KernelState = tuple[Float[Tensor, "b h f w"], Float[Tensor, "b h"], Int[Tensor, ""]]
"""The sums over the past, the logarithm of their divisor, and how many positions they hold."""


@final
class KernelAttentionLayer(Mixer):
    """Multi-head self-attention by kernel features."""

    def __init__(self, width: int, heads: Heads, features: FeatureMap, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.features, self.causal = heads, features, causal
        self.out = nn.Linear(width, width)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Attend; a causal layer needs no mask for padding, which lies in the future."""
        if self.causal:
            return self._continued(u, self.initial_state(len(u)))[0]
        valid = None if lengths is None else valid_positions(u, lengths)
        q, k, v = self._heads(u, 0)
        with torch.autocast(u.device.type, enabled=False):
            mixed = global_attend(q, k, v, valid, self.features)
        return self._mapped(mixed, u)

    def initial_state(self, batch: int) -> KernelState:
        """Return the sums over nothing."""
        shape = batch, self.heads.heads, self.features.count, self.heads.features + 1
        return *empty_sums(self.out.weight, *shape), torch.tensor(0)

    def step(
        self, u: Float[Tensor, "b d"], state: KernelState
    ) -> tuple[Float[Tensor, "b d"], KernelState]:
        """Advance the recurrence by one position."""
        sums, scale, position = state
        q, k, v = (x[:, 0] for x in self._heads(u[:, None], counted(position)))
        with torch.autocast(u.device.type, enabled=False):
            mixed, after = kernel_attention_step(q, k, v, (sums, scale), self.features)
        return self._mapped(mixed, u), (*after, position + 1)

    def advance(
        self, u: Float[Tensor, "b l d"], state: KernelState
    ) -> tuple[Float[Tensor, "b l d"], KernelState]:
        """Continue over a piece in chunks."""
        return self._continued(u, state)

    def path(self) -> str:
        """Name the form of the product."""
        widest = max(self.features.count, self.heads.features + 1)
        return chosen(FORMS, self.out.weight, widest=widest).name if self.causal else "global"

    def _continued(self, u: Tensor, state: KernelState) -> tuple[Tensor, KernelState]:
        sums, scale, position = state
        q, k, v = self._heads(u, int(position))
        # Sums over a long past need more digits than half precision has.
        with torch.autocast(u.device.type, enabled=False):
            mixed, after = causal_attend(q, k, v, (sums, scale), self.features)
        return self._mapped(mixed, u), (*after, position + u.shape[1])

    def _heads(self, u: Tensor, start: Position) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.heads(u, start)
        dtype = self.out.weight.dtype
        return q.to(dtype), k.to(dtype), v.to(dtype)

    def _mapped(self, mixed: Tensor, u: Tensor) -> Tensor:
        mapped: Tensor = self.out(mixed.flatten(u.ndim - 1))
        return mapped
