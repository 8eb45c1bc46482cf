"""Queries, keys and values of several heads, with the positions written into them.

Rotary positions (Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding")
let the product of a query and a key see only their distance. Pairs are (i, i + e/2), a permutation
of the paper's neighbours. Sinusoids are added to features (Vaswani et al. 2017, section 3.5).

Axes: b batch, l length, d width, h heads of queries, g heads of keys and values, e features of a
head.
"""

from collections.abc import Callable
from typing import Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.rows import Position
from harness.api import SpecError

Positions = Literal["rotary", "sinusoidal", "none"]
Rotation = tuple[Float[Tensor, "l 1 e"], Float[Tensor, "l 1 e"]]
"""Cosines, and sines with the sign that the other of the pair is added with."""
Encoding = Callable[[Tensor, int, torch.dtype], tuple[Tensor, ...]]
"""What is made of positions, for so many features, in a precision; positions come first."""

BASE = 10_000.0
"""How many times the shortest wavelength the longest one is, almost."""
CACHED = 64
"""Positions whose encodings are made together, and cached, for steps."""


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
        self._cached: tuple[object, list[tuple[Tensor, ...]]] = None, []

    def forward(
        self, u: Float[Tensor, "b l d"], start: Position = 0
    ) -> tuple[Float[Tensor, "b l h e"], Float[Tensor, "b l g e"], Float[Tensor, "b l g e"]]:
        """Return queries, keys and values of features whose first one stands at `start`."""
        if self.positions == "sinusoidal":
            u = u + self._encoded(sinusoids, start, u)[0]
        counts = self.heads, self.kv_heads, self.kv_heads
        joined = self.project(u).view(*u.shape[:2], sum(counts), self.features)
        if self.positions != "rotary":
            q, k, v = joined.split(counts, 2)
            return q, k, v
        cos, sin = self._encoded(rotation, start, joined)
        # Split, and not sliced: the gradients of slices are each as large as the whole.
        turning, v = joined.split([self.heads + self.kv_heads, self.kv_heads], 2)
        q, k = rotate(turning, (cos, sin)).split(counts[:2], 2)
        return q, k, v

    def _encoded(
        self, encoding: Encoding, start: Position, x: Float[Tensor, "b l *n e"]
    ) -> tuple[Tensor, ...]:
        """Encode positions; a single one is looked up among those of its block."""
        length, features, dtype = x.shape[1], x.shape[-1], x.dtype
        if length != 1 or not isinstance(start, int):
            return encoding(consecutive(start, length, x), features, dtype)
        block, row = divmod(start, CACHED)
        wanted = block, dtype, x.device
        cached = self._cached  # which another thread may replace at any time
        if cached[0] != wanted:
            tables = encoding(consecutive(block * CACHED, CACHED, x), features, dtype)
            rows = list(zip(*(table.split(1) for table in tables), strict=True))
            cached = self._cached = wanted, rows
        return cached[1][row]


def rotation(positions: Int[Tensor, " l"], features: int, dtype: torch.dtype) -> Rotation:
    """Return what turns pair i by position * BASE^(-2i/e) radians.

    Angles are reduced in float64: at 262,144 positions float32 would leave two digits of them.
    """
    half, at = features // 2, positions.device
    rates = torch.logspace(0, (1 - half) / half, half, BASE, dtype=torch.float64, device=at)
    angles = (positions[:, None] * rates)[:, None]
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def rotate(x: Float[Tensor, "b l h e"], by: Rotation) -> Float[Tensor, "b l h e"]:
    """Turn every position's pairs."""
    cos, sin = by
    first, second = x.split(x.shape[-1] // 2, -1)
    return (x * cos).addcmul_(torch.cat([second, first], -1), sin)


def sinusoids(
    positions: Int[Tensor, " l"], width: int, dtype: torch.dtype
) -> tuple[Float[Tensor, "l d"]]:
    """Return one table: sin(position BASE^(-2i/d)) at feature 2i, the cosine at feature 2i + 1.

    Angles are reduced in float64, as those of rotary positions.
    """
    pairs = torch.arange(0, width, 2, device=positions.device, dtype=torch.float64)
    angles = torch.outer(positions.double(), BASE ** (-pairs / width))
    table = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    return (table[:, :width].to(dtype),)


def consecutive(start: Position, length: int, like: Tensor) -> Int[Tensor, " l"]:
    """Return positions, on the device of what they are for."""
    if isinstance(start, int):
        return torch.arange(start, start + length, device=like.device)
    return start + torch.arange(length, device=like.device)
