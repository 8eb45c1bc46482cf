"""Local attention: softmax attention to the position's own window and its neighbours.

The sequence is cut into windows of `chunk` positions. A query sees its own window up to itself and
the whole window before; not causal, its own and both neighbours. A sequence no longer than a window
gets full attention. This is the attention baseline of Gupta, Mehta, Berant 2022 (DLR), with rotary
positions; their trainable temperature and the residual inside their layer are left out, since the
backbone brings its own.

Axes: b batch, l length, d width, h heads, e features of a head, w two windows.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.attention.heads import Heads
from baselines.ops.attention.softmax_attention import attend
from baselines.ops.attention.window_attention import attend_causal_windows, attend_windows
from baselines.ops.rows import Position, filled, write
from harness.api import Mixer, Model, SpecError, Trunk, counted

Windows = tuple[Float[Tensor, "b w h e"], Float[Tensor, "b w h e"], Int[Tensor, ""]]
"""Keys and values of the last one to two windows, and how many positions there were so far."""


@final
@dataclass(frozen=True, kw_only=True)
class LocalAttention(Model):
    """Attention within windows and to their neighbours."""

    heads: int = 4
    """Heads of the attention."""
    chunk: int = 1024
    """Positions of a window."""

    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=4.0)
    reference: ClassVar[str] = "gupta2022dlr, su2021roformer"

    def __post_init__(self) -> None:
        if min(self.heads, self.chunk) < 1:
            raise SpecError(f"heads and chunk must be positive, not {self.heads} and {self.chunk}.")

    def build(self, *, width: int, length: int, causal: bool) -> "LocalLayer":  # noqa: ARG002
        """Build the layer; it needs no length.

        Raises:
            SpecError: The width does not divide into the heads.
        """
        heads = Heads(width, self.heads, self.heads, "rotary")
        return LocalLayer(width, heads, self.chunk, causal=causal)


@final
class LocalLayer(Mixer):
    """Multi-head attention within windows."""

    def __init__(self, width: int, heads: Heads, chunk: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.chunk, self.causal = heads, chunk, causal
        self.out = nn.Linear(width, width)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Attend; a causal layer needs no mask for padding, which lies in the future."""
        q, k, v = self.heads(u)
        if self.causal:
            mixed = attend_causal_windows(q, k, v, self.chunk)
        else:
            mixed = attend_windows(q, k, v, lengths, self.chunk)
        mapped: Tensor = self.out(mixed.flatten(2))
        return mapped

    def initial_state(self, batch: int) -> Windows:
        """Return an empty cache of two windows."""
        shape = batch, 2 * self.chunk, self.heads.heads, self.heads.features
        empty = self.out.weight.new_zeros(shape)
        return empty, empty.clone(), torch.tensor(0)

    def step(self, u: Float[Tensor, "b d"], state: Windows) -> tuple[Float[Tensor, "b d"], Windows]:
        """Write the position's key and value into the cache, in place, and attend over it.

        When it is full, the older window makes room.
        """
        keys, values, count = state
        position = counted(count)
        q, k, v = self.heads(u[:, None], position)
        at = self._filled(position)
        write(keys, at, k[:, 0])
        write(values, at, v[:, 0])
        if not isinstance(at, int):
            mixed = attend(q, keys, values, filled(keys, at))
            return self.out(mixed.flatten(1)), (keys, values, count + 1)
        mixed = attend(q, keys[:, : at + 1], values[:, : at + 1])
        if at + 1 == 2 * self.chunk:
            for cache in (keys, values):
                cache[:, : self.chunk] = cache[:, self.chunk :]
        return self.out(mixed.flatten(1)), (keys, values, count + 1)

    def advance(
        self, u: Float[Tensor, "b l d"], state: Windows
    ) -> tuple[Float[Tensor, "b l d"], Windows]:
        """Attend over what the cache holds and the piece, whose windows go on from its own."""
        q, k, v = self.heads(u, int(state[2]))
        k, v = self._joined(state, k, v)
        mixed = attend_causal_windows(q, k, v, self.chunk)
        return self.out(mixed.flatten(2)), self._updated(state, k, v, u.shape[1])

    def prefill(self, u: Float[Tensor, "b l d"]) -> Windows:
        """Return the cache after a sequence, without attending."""
        state = self.initial_state(len(u))
        _, k, v = self.heads(u)
        return self._updated(state, *self._joined(state, k, v), u.shape[1])

    def replayable(self, state: Windows) -> int:
        """Return the steps before the one at which a window makes room."""
        return 2 * self.chunk - 1 - int(self._filled(int(state[2])))

    def path(self) -> str:
        """Name the form of attention."""
        return "sdpa-windows"

    def _filled(self, count: Position) -> Position:
        """Return how many of so many positions the cache holds."""
        return count % self.chunk + self.chunk * (count >= self.chunk)

    def _joined(self, state: Windows, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        keys, values, count = state
        filled = self._filled(int(count))
        keys, values = keys[:, :filled].to(k.dtype), values[:, :filled].to(v.dtype)
        return torch.cat([keys, k], 1), torch.cat([values, v], 1)

    def _updated(self, state: Windows, k: Tensor, v: Tensor, length: int) -> Windows:
        """Return the cache after a piece, out of what was in it and the piece."""
        keys, values, count = state
        filled = self._filled(int(count) + length)
        first = k.shape[1] - filled
        keys[:, :filled], values[:, :filled] = k[:, first:], v[:, first:]
        return keys, values, count + length
