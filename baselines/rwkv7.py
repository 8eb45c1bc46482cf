"""RWKV-7: the generalised delta rule, whose values are mixed with those of the first layer.

Peng et al. 2025, "RWKV-7 Goose with Expressive Dynamic State Evolution". A layer is its time
mixing; initial values are those of flash-linear-attention's `RWKV7Attention`. The paper is causal;
a bidirectional layer runs over the sequence and over its reversal and adds both.

Axes: b batch, l length, d width, h heads, e features of a head.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import chosen
from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.layers.time_mixing import (
    FORMS,
    Parts,
    Shifted,
    Weights,
    read_out,
    signals,
    time_mixing,
    token_shift,
)
from baselines.ops.scans.generalized_delta_rule import generalized_delta_step
from harness.api import Mixer, Model, SpecError, Trunk, UnsupportedError

HIDDEN = 4
"""Hidden width of the map after the mixer, as a multiple of the width."""
RWKV7State = tuple[Float[Tensor, "b h e e"], Float[Tensor, "b d"]]


@final
@dataclass(frozen=True, kw_only=True)
class RWKV7(Model):
    """Time mixing of RWKV-7."""

    head_dim: int = 64
    """Features of a head; a narrower layer has one head."""

    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=HIDDEN)
    reference: ClassVar[str] = "peng2025rwkv7"

    def __post_init__(self) -> None:
        if self.head_dim < 1:
            raise SpecError(f"head_dim must be positive, not {self.head_dim}.")

    def build(self, *, width: int, length: int, causal: bool) -> "RWKV7Layer":
        """Build the only layer of a stack."""
        return self.stack(depth=1, width=width, length=length, causal=causal)[0]

    def stack(
        self,
        *,
        depth: int,
        width: int,
        length: int,  # noqa: ARG002 - the same layers at every length
        causal: bool,
    ) -> Sequence["RWKV7Layer"]:
        """Build all layers; those behind the first see its values.

        Raises:
            SpecError: The width does not divide into heads.
        """
        features = min(self.head_dim, width)
        if width % features:
            raise SpecError(
                f"A width of {width} does not divide into heads of {features} features; choose "
                f"another head_dim."
            )
        first = FirstValues() if depth > 1 else None
        return [
            RWKV7Layer(width, width // features, (layer, depth), first, causal=causal)
            for layer in range(depth)
        ]

    def feed_forward(self, *, width: int, layer: int) -> nn.Module:  # noqa: ARG002
        """Build the channel mixing, but for its token shift: squared rectifiers in one layer."""
        return nn.Sequential(
            nn.Linear(width, HIDDEN * width, bias=False),
            SquaredReLU(),
            nn.Linear(HIDDEN * width, width, bias=False),
        )


@final
class SquaredReLU(nn.Module):
    """max(x, 0) squared."""

    def forward(self, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        """Map each number."""
        return F.relu(x).square()


@final
class FirstValues(threading.local):
    """The first layer's values on their way to the others: one a direction, for each thread.

    A network runs its layers in order, so what stands here is of the same positions. The last
    layer takes it away, so that nothing is held beyond a pass.
    """

    def __init__(self) -> None:
        self.held: dict[bool, Tensor] = {}

    def __reduce__(self) -> tuple[type["FirstValues"], tuple[()]]:
        """Copy and pickle it empty."""
        return FirstValues, ()


@final
class RWKV7Layer(Mixer):
    """The mixer of RWKV-7."""

    def __init__(
        self,
        width: int,
        heads: int,
        place: tuple[int, int],
        first: FirstValues | None,
        *,
        causal: bool,
    ) -> None:
        """Build the layer.

        Args:
            width: d, features of its input and output.
            heads: Heads, which share out the width.
            place: Its number from 0, and how many there are.
            first: Where the first layer's values are; None for a layer alone.
            causal: Whether positions see the past only.
        """
        super().__init__()
        self.heads, self.causal, self.first = heads, causal, first
        self.layer, self.last = place[0], place[0] == place[1] - 1
        share, left = place[0] / max(1, place[1] - 1), 1 - place[0] / place[1]
        line, ramp = torch.linspace(0, 1, width), torch.linspace(-0.5, 0.5, width)
        zigzag = torch.linspace(-1, 1, width // heads).repeat(heads)
        zigzag = zigzag * zigzag.abs()
        # Of r, w, k, v, alpha and g, as a share of the position before.
        powers = torch.tensor([0.2, 0.9, 0.7, 0.7, 0.9, 0.2]) * left
        self.shift = nn.Parameter(1 - (torch.arange(width) / width) ** powers[:, None])
        self.r_proj, self.k_proj, self.v_proj = (
            _orthogonal(nn.Linear(width, width, bias=False), gain) for gain in (1.0, 0.1, 1.0)
        )
        slow = 6 * line ** (1 + share**0.3) - 6
        self.w_lora = _low_rank(width, 2.5, nn.Tanh(), slow + 0.5 + 2.5 * zigzag)
        self.a_lora = _low_rank(width, 2.5, nn.Identity(), 0.3 * zigzag + 0.4 * ramp - 0.19)
        self.v_lora = (
            _low_rank(width, 1.7, nn.Identity(), 0.73 - 0.4 * ramp) if place[0] and first else None
        )
        self.g_lora = _low_rank(width, 5.0, nn.Sigmoid(), None)
        self.k_k = nn.Parameter(0.71 - 0.1 * ramp)
        self.k_a = nn.Parameter(torch.full((width,), 1.02))
        self.r_k = nn.Parameter(torch.full((heads, width // heads), -0.04))
        self.norm = nn.GroupNorm(heads, width, eps=1e-5 * width / heads)
        nn.init.constant_(self.norm.weight, ((place[0] + 1) / place[1]) ** 0.7)
        self.out_proj = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out_proj.weight)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Run once, or once from each end of the valid positions."""
        y, _ = self._run(u, self._zeros(len(u)))
        if not self.causal:
            again, _ = self._run(reverse_valid(u, lengths), self._zeros(len(u)), reverse=True)
            y = y + reverse_valid(again, lengths)
        return y

    def initial_state(self, batch: int) -> RWKV7State:
        """Return zeros."""
        return self._zeros(batch)

    def advance(
        self, u: Float[Tensor, "b l d"], state: RWKV7State
    ) -> tuple[Float[Tensor, "b l d"], RWKV7State]:
        """Continue over a piece of a sequence, chunk by chunk."""
        return self._run(u, state)

    def step(
        self, u: Float[Tensor, "b d"], state: RWKV7State
    ) -> tuple[Float[Tensor, "b d"], RWKV7State]:
        """Advance one position."""
        memory, before = state
        shares = self.shift.to(u.dtype)
        r, w, k, v, a, g = (torch.addcmul(u, before - u, share) for share in shares)
        parts, weights = self._projected((r, w, k, v, a, g)), self._weights()
        driving = signals(parts, weights)
        y, memory = generalized_delta_step(*driving, memory)
        return self.out_proj(read_out(y, driving, parts.gate, weights)), (memory, u.clone())

    def path(self) -> str:
        """Name the form of the rule."""
        return chosen(FORMS, self.r_k, keys=self.r_k.shape[1]).name

    def _run(
        self, u: Tensor, state: RWKV7State, *, reverse: bool = False
    ) -> tuple[Tensor, RWKV7State]:
        memory, before = state
        parts = self._projected(token_shift(u, before, self.shift), reverse=reverse)
        y, memory = time_mixing(parts, self._weights(), memory)
        return self.out_proj(y), (memory, u[:, -1].clone())

    def _projected(self, shifted: Shifted, *, reverse: bool = False) -> Parts:
        r, w, k, v, a, g = shifted
        r, k, v = self.r_proj(r), self.k_proj(k), self._mixed(v, reverse)
        return Parts(r, k, v, self.w_lora(w), self.a_lora(a), self.g_lora(g))

    def _weights(self) -> Weights:
        norm = self.norm
        return Weights(self.k_k, self.k_a, self.r_k, norm.weight, norm.bias, norm.eps)

    def _mixed(self, u: Tensor, reverse: bool) -> Tensor:
        """Return the values, between the layer's own and the first one's."""
        v: Tensor = self.v_proj(u)
        if self.first is None:
            return v
        if self.layer == 0:
            self.first.held[reverse] = v
            return v
        held = self.first.held
        first = held.pop(reverse, None) if self.last else held.get(reverse)
        if first is None or first.shape != v.shape:
            raise UnsupportedError(
                f"Layer {self.layer} of RWKV-7 mixes its values with those of the first; run the "
                f"layers in order, on the same positions."
            )
        assert self.v_lora is not None
        return v.lerp(first.to(v.dtype), self.v_lora(u).sigmoid().to(v.dtype))

    def _zeros(self, batch: int) -> RWKV7State:
        features = self.r_k.shape[1]
        memory = self.r_k.new_zeros(batch, self.heads, features, features)
        return memory, self.r_k.new_zeros(batch, self.heads * features)


def _orthogonal(linear: nn.Linear, gain: float) -> nn.Linear:
    nn.init.orthogonal_(linear.weight, gain)
    return linear


def _low_rank(
    width: int, factor: float, activation: nn.Module, bias: Tensor | None
) -> nn.Sequential:
    """Build a map of low rank that starts as its bias."""
    rank = max(32, 32 * round(factor * math.sqrt(width) / 32))
    inner, outer = nn.Linear(width, rank, bias=False), nn.Linear(rank, width, bias=bias is not None)
    nn.init.zeros_(inner.weight)
    _orthogonal(outer, 0.1 * math.sqrt(max(1, rank / width)))
    if bias is not None:
        outer.bias = nn.Parameter(bias)
    return nn.Sequential(inner, activation, outer)
