"""Queries, keys and values of several heads, with the positions written into them.

Axes: b batch, l length, d width, h heads of queries, g heads of keys and values, e features of a
head.
"""

from collections.abc import Callable
from typing import Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.rotary import rotate, turns
from baselines.ops.sinusoidal import sinusoids
from harness.api import SpecError

Positions = Literal["rotary", "sinusoidal", "none"]
Code = Callable[[Tensor, int, torch.dtype], tuple[Tensor, ...]]
"""What is made of positions, for so many features, in a precision; positions come first."""

HELD = 64
"""Positions whose codes are made together, and held, for steps."""


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
        self._held: tuple[object, list[tuple[Tensor, ...]]] = None, []

    def forward(
        self, u: Float[Tensor, "b l d"], start: int = 0
    ) -> tuple[Float[Tensor, "b l h e"], Float[Tensor, "b l g e"], Float[Tensor, "b l g e"]]:
        """Return queries, keys and values of features whose first one stands at `start`."""
        if self.positions == "sinusoidal":
            (added,) = self._codes(_added, start, u)
            u = u + added
        counts = self.heads, self.kv_heads, self.kv_heads
        joined = self.project(u).view(*u.shape[:2], sum(counts), self.features)
        if self.positions != "rotary":
            q, k, v = joined.split(counts, 2)
            return q, k, v
        turning = self.heads + self.kv_heads
        cos, sin = self._codes(turns, start, joined)
        turned = rotate(joined[:, :, :turning], (cos, sin))
        return turned[:, :, : self.heads], turned[:, :, self.heads :], joined[:, :, turning:]

    def _codes(self, code: Code, start: int, x: Float[Tensor, "b l *n e"]) -> tuple[Tensor, ...]:
        """Return the codes of positions; a single one's are looked up among its block's."""
        length, features, dtype = x.shape[1], x.shape[-1], x.dtype
        if length != 1:
            return code(_places(start, length, x), features, dtype)
        block, row = divmod(start, HELD)
        wanted = block, dtype, x.device
        if self._held[0] != wanted:
            tables = code(_places(block * HELD, HELD, x), features, dtype)
            self._held = wanted, list(zip(*(table.split(1) for table in tables), strict=True))
        return self._held[1][row]


def _added(positions: Int[Tensor, " l"], width: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    return (sinusoids(positions, width, dtype),)


def _places(start: int, length: int, like: Tensor) -> Int[Tensor, " l"]:
    return torch.arange(start, start + length, device=like.device)
