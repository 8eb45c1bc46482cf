"""Transformer: multi-head softmax attention with rotary positions, and a feed-forward block.

Vaswani et al. 2017, "Attention Is All You Need"; Su et al. 2021, "RoFormer".

Axes: b batch, l length, d width, h heads, e features of a head.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.attention import attend, attend_xformers, naive_attend
from baselines.ops.rotary import rotate
from harness.api import Mixer, Model, SpecError, Trunk, UnsupportedError, tensor_bytes

Backend = Literal["auto", "sdpa", "naive", "xformers"]
Cache = tuple[Float[Tensor, "b _ h e"], Float[Tensor, "b _ h e"], Int[Tensor, ""]]
"""Keys, values, and how many of their positions are filled."""

BLOCK = 1024
"""Positions by which the cache grows."""


@final
@dataclass(frozen=True, kw_only=True)
class Transformer(Model):
    """Attention over all positions, or over the past."""

    heads: int = 4
    backend: Backend = "auto"
    """`auto`: xformers' memory-efficient attention on CUDA, torch's fused attention elsewhere."""

    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=4.0)
    reference: ClassVar[str] = "vaswani2017attention"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")

    def build(self, *, width: int, length: int, causal: bool) -> "Attention":  # noqa: ARG002
        """Build the layer; it needs no length.

        Raises:
            SpecError: The width does not divide into heads with an even number of features.
        """
        if width % (2 * self.heads):
            raise SpecError(
                f"A width of {width} does not divide into {self.heads} heads of an even number of "
                f"features, which rotary positions need; use a multiple of {2 * self.heads}."
            )
        return Attention(width, self.heads, self.backend, causal=causal)


@final
class Attention(Mixer):
    """Multi-head self-attention with rotary positions."""

    def __init__(self, width: int, heads: int, backend: Backend, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.backend, self.causal = heads, backend, causal
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.masked = False

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Attend; a causal layer needs no mask for padding, which lies in the future.

        Raises:
            SpecError: xformers was asked for on a CPU.
        """
        lengths = None if self.causal else lengths
        self.masked = lengths is not None
        q, k, v = self._heads(u, torch.arange(u.shape[1], device=u.device))
        form = self._form(u)
        if form == "xformers":
            mixed = attend_xformers(q, k, v, lengths, causal=self.causal)
        else:
            valid = None
            if lengths is not None:
                valid = torch.arange(u.shape[1], device=u.device) < lengths[:, None]
            attention = naive_attend if form == "naive" else attend
            mixed = attention(q, k, v, valid, causal=self.causal)
        mapped: Tensor = self.out(mixed.flatten(2))
        return mapped

    def initial_state(self, batch: int) -> Cache:
        """Return an empty cache.

        Raises:
            UnsupportedError: The layer sees the future.
        """
        if not self.causal:
            raise UnsupportedError("A bidirectional layer sees the future, so it has no step mode.")
        weight = self.out.weight
        empty = weight.new_empty(batch, 0, self.heads, len(weight) // self.heads)
        return empty, empty.clone(), torch.tensor(0)

    def step(self, u: Float[Tensor, "b d"], state: Cache) -> tuple[Float[Tensor, "b d"], Cache]:
        """Write the position's key and value into the cache, in place if there is room; attend."""
        keys, values, filled = state
        position = int(filled)
        if position == keys.shape[1]:
            keys, values = (F.pad(x, (0, 0, 0, 0, 0, BLOCK)) for x in (keys, values))
        q, k, v = self._heads(u[:, None], torch.tensor([position], device=u.device))
        keys[:, position], values[:, position] = k[:, 0], v[:, 0]
        end = position + 1
        mixed = attend(q, keys[:, :end], values[:, :end])
        return self.out(mixed.flatten(1)), (keys, values, torch.tensor(end))

    def prefill(self, u: Float[Tensor, "b l d"]) -> Cache:
        """Return the cache after a sequence: its keys and values, with room to the next block."""
        length = u.shape[1]
        keys, values, _ = self.initial_state(len(u))
        if length:
            _, keys, values = self._heads(u, torch.arange(length, device=u.device))
            room = (0, 0, 0, 0, 0, -length % BLOCK)
            keys, values = F.pad(keys, room), F.pad(values, room)
        return keys, values, torch.tensor(length)

    def state_bytes(self, length: int) -> int:
        """Return the bytes of the cache's blocks and of its counter."""
        token = tensor_bytes(self.out.weight) // len(self.out.weight)
        return 2 * -(-length // BLOCK) * BLOCK * token + tensor_bytes(self.initial_state(1))

    def path(self) -> str:
        """Name the form of attention; padding makes torch's fused form take a mask."""
        form = self._form(self.out.weight)
        return form + ("-masked" if form == "sdpa" and self.masked else "")

    def _heads(self, u: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.project(u).unflatten(-1, (3, self.heads, -1)).unbind(2)
        return rotate(q, positions), rotate(k, positions), v

    def _form(self, u: Tensor) -> Literal["sdpa", "naive", "xformers"]:
        """Say which form runs where a tensor lies."""
        if self.backend == "xformers" and not u.is_cuda:
            raise SpecError(
                "xformers has no attention for a CPU; use backend=auto, or --device cuda."
            )
        if self.backend == "auto":
            return "xformers" if u.is_cuda else "sdpa"
        return self.backend
