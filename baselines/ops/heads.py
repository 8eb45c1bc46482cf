"""Queries, keys and values of several heads, with the positions written into them.

Axes: b batch, l length, d width, h heads of queries, g heads of keys and values, e features of a
head.
"""

from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines.ops.rotary import rotate
from baselines.ops.sinusoidal import sinusoids
from harness.api import SpecError

Positions = Literal["rotary", "sinusoidal", "none"]


@final
class Heads(nn.Module):
    """One linear map from features to the queries, keys and values of all heads.

    Args:
        width: d.
        heads: h, which divides the width.
        kv_heads: g, which divides h.
        positions: `rotary` turns queries and keys; `sinusoidal` is added to the features first, in
            every layer, so that a layer needs nothing from the network around it.

    Raises:
        SpecError: The width does not divide into such heads.
    """

    def __init__(self, width: int, heads: int, kv_heads: int, positions: Positions) -> None:
        super().__init__()
        even = 2 if positions == "rotary" else 1
        if width % (even * heads):
            need = ", each with the even number of features that rotary positions need"
            raise SpecError(
                f"A width of {width} does not divide into {heads} heads"
                f"{need if even == 2 else ''}; use a multiple of {even * heads}."
            )
        self.heads, self.kv_heads, self.positions = heads, kv_heads, positions
        self.features = width // heads
        self.project = nn.Linear(width, width + 2 * kv_heads * self.features)

    def forward(
        self, u: Float[Tensor, "b l d"], start: int = 0
    ) -> tuple[Float[Tensor, "b l h e"], Float[Tensor, "b l g e"], Float[Tensor, "b l g e"]]:
        """Return queries, keys and values of features whose first one stands at `start`."""
        at = torch.arange(start, start + u.shape[1], device=u.device)
        if self.positions == "sinusoidal":
            u = u + sinusoids(at, u.shape[-1], u.dtype)
        joined = self.project(u).unflatten(-1, (-1, self.features))
        q, k, v = joined.split((self.heads, self.kv_heads, self.kv_heads), 2)
        if self.positions == "rotary":
            q, k = rotate(q, at), rotate(k, at)
        return q, k, v
