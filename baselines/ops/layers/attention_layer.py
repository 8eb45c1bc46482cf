"""The layer of softmax attention over all positions, or over the past with a cache.

Axes: b batch, l length, d width, g heads of keys and values, e features of a head.
"""

from typing import Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.attention.heads import Heads
from baselines.ops.attention.softmax_attention import attend, attend_xformers, naive_attend
from baselines.ops.rows import filled, write
from harness.api import Mixer, counted, tensor_bytes, valid_positions

Backend = Literal["auto", "sdpa", "naive", "xformers"]
Cache = tuple[Float[Tensor, "b _ g e"], Float[Tensor, "b _ g e"], Int[Tensor, ""]]
"""Keys, values, and how many of their positions are filled."""

BLOCK = 1024
"""Positions by which the cache grows."""


@final
class AttentionLayer(Mixer):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: Heads, backend: Backend, *, causal: bool) -> None:
        super().__init__()
        # Whether xformers is faster would take a measurement inside a run, so it is asked for.
        self.form = "sdpa" if backend == "auto" else backend
        self.causal, self.masked = causal, False
        self.heads = heads
        self.out = nn.Linear(width, width)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Attend; a causal layer needs no mask for padding, which lies in the future.

        Raises:
            SpecError: xformers was asked for, and refuses.
        """
        lengths = None if self.causal else lengths
        self.masked = lengths is not None
        q, k, v = self.heads(u)
        if self.form == "xformers":
            mixed = attend_xformers(q, k, v, lengths, causal=self.causal)
        else:
            valid = None if lengths is None else valid_positions(u, lengths)
            attention = naive_attend if self.form == "naive" else attend
            mixed = attention(q, k, v, valid, causal=self.causal)
        mapped: Tensor = self.out(mixed.flatten(2))
        return mapped

    def initial_state(self, batch: int) -> Cache:
        """Return an empty cache."""
        empty = self.out.weight.new_empty(batch, 0, self.heads.kv_heads, self.heads.features)
        return empty, empty.clone(), torch.tensor(0)

    def step(self, u: Float[Tensor, "b d"], state: Cache) -> tuple[Float[Tensor, "b d"], Cache]:
        """Attend with one query over the cache, which grows by its key and value."""
        keys, values, count = state
        if isinstance(at := counted(count), int):
            mixed, state = self.advance(u[:, None], state)
            return mixed[:, 0], state
        q, k, v = self.heads(u[:, None], at)
        write(keys, at, k[:, 0])
        write(values, at, v[:, 0])
        mixed = attend(q, keys, values, filled(keys, at))
        return self.out(mixed.flatten(1)), (keys, values, count + 1)

    def advance(
        self, u: Float[Tensor, "b l d"], state: Cache
    ) -> tuple[Float[Tensor, "b l d"], Cache]:
        """Write keys and values into the cache, in place if there is room, and attend over it."""
        start = int(state[2])
        q, k, v = self.heads(u, start)
        keys, values, filled = _written(state, start, k, v)
        end = start + u.shape[1]
        mixed = attend(q, keys[:, :end], values[:, :end], causal=True)
        return self.out(mixed.flatten(2)), (keys, values, filled)

    def prefill(self, u: Float[Tensor, "b l d"]) -> Cache:
        """Return the cache after a sequence, without attending."""
        _, k, v = self.heads(u)
        return _written(self.initial_state(len(u)), 0, k, v)

    def replayable(self, state: Cache) -> int:
        """Return for how many steps there is room."""
        return state[0].shape[1] - int(state[2])

    def state_bytes(self, length: int) -> int:
        """Return the bytes of the cache's blocks and of its counter."""
        empty = tensor_bytes(self.initial_state(1))
        token = self.heads.kv_heads * self.heads.features * self.out.weight.element_size()
        return 2 * -(-length // BLOCK) * BLOCK * token + empty

    def path(self) -> str:
        """Name the form of attention; padding makes torch's fused form take a mask."""
        return self.form + ("-masked" if self.form == "sdpa" and self.masked else "")


def _written(state: Cache, start: int, k: Tensor, v: Tensor) -> Cache:
    """Return a cache with keys and values from a position on, and room to the next block."""
    keys, values, filled = state
    end = start + k.shape[1]
    if end > keys.shape[1]:
        room = (0, 0, 0, 0, 0, -(-end // BLOCK) * BLOCK - keys.shape[1])
        keys, values = F.pad(keys, room), F.pad(values, room)
    keys[:, start:end], values[:, start:end] = k, v
    return keys, values, filled + k.shape[1]
