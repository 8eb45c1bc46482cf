"""Mega: damped moving averages before gated attention of one head, in chunks.

Ma et al. 2022, "Mega: Moving Average Equipped Gated Attention", section 3 (the averages), 3.3 (the
gated attention) and 3.5 (chunks); initial values are those of the authors' code. What it adds to
its input is u (h - x), so without a norm before it u gates between the input x and the new h. The
second direction of a layer that is not causal has averages of its own, from the next position on.

Axes: b batch, l length, d width, k directions, n averages of a channel, z features of queries and
keys, v of values, c positions of a chunk.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Complex, Complex128, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.layers.diagonal_layer import DiagonalLayer
from baselines.ops.rows import write
from baselines.ops.ssm.block_steps import BlockState
from harness.api import Mixer, Model, SpecError, Trunk, counted, valid_positions

VALUES = 2
"""Features of the values, as a multiple of the width."""
SPREAD = 0.02
"""Standard deviation of matrices, of the bias of lags and of gamma, which scales q and k."""
Cache = tuple[Float[Tensor, "b c z"], Float[Tensor, "b c v"], Int[Tensor, ""]]
MegaState = tuple[BlockState, Cache]


@final
@dataclass(frozen=True, kw_only=True)
class Mega(Model):
    """Moving averages and gated attention in chunks."""

    averages: int = 16
    """Moving averages of a channel."""
    chunk: int = 128
    """Positions of a chunk, which alone see each other by attention."""

    trunk: ClassVar[Trunk] = Trunk(prenorm=False, mix="none", ffn=2.0)
    reference: ClassVar[str] = "ma2023mega"

    def __post_init__(self) -> None:
        for option in ("averages", "chunk"):
            if (value := getattr(self, option)) < 1:
                raise SpecError(f"{option} must be positive, not {value}.")

    def build(self, *, width: int, length: int, causal: bool) -> "MegaLayer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        return MegaLayer(width, self.averages, self.chunk, causal=causal)


@final
class DampedEMA(DiagonalLayer):
    """x to sum_n scale gamma_n h_n + D x, where h_n = p beta_n x + (1 - p alpha) h_n before.

    Each average forgets p alpha, so the damping p lets it keep more than what it takes leaves.
    """

    def __init__(self, width: int, averages: int, *, causal: bool) -> None:
        directions = 1 if causal else 2
        super().__init__(width, averages * directions, causal=causal)
        shape = directions, width, averages
        self.damping = nn.Parameter(0.2 * torch.randn(shape))
        self.alpha = nn.Parameter(0.2 * torch.randn(shape))
        # Signs in turn, as the authors found more stable.
        signs = 1 - 2 * (torch.arange(averages) % 2)
        self.beta = nn.Parameter(SPREAD * torch.randn(shape) + signs)
        self.gamma = nn.Parameter(torch.randn(shape))

    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "d n"]]:
        """Return weights and poles; those of a direction have no weight in the other one."""
        p = self.damping.double().sigmoid()
        pole = 1 - p * self.alpha.double().sigmoid()
        gain = p * self.beta * self.gamma / math.sqrt(self.beta.shape[-1])
        weights = torch.stack(
            [torch.block_diag(*rows) for rows in gain.transpose(0, 1)[:, :, None]]
        )
        real = torch.promote_types(self.D.dtype, torch.float32)
        poles = pole.transpose(0, 1).flatten(1)
        return weights.to(real).to(real.to_complex()), poles.to(torch.complex128)


@final
class MegaLayer(Mixer):
    """The mixer of Mega."""

    def __init__(self, width: int, averages: int, chunk: int, *, causal: bool) -> None:
        super().__init__()
        self.causal, self.chunk = causal, chunk
        queries, values = max(1, width // 2), VALUES * width
        self.parts = [width, queries, values, width]
        self.ema = DampedEMA(width, averages, causal=causal)
        self.v_proj, self.in_proj, self.h_proj = (
            _linear(*sizes)
            for sizes in ((width, values), (width, sum(self.parts)), (values, width))
        )
        self.gamma = nn.Parameter(SPREAD * torch.randn(2, queries))
        self.beta = nn.Parameter(torch.zeros(2, queries))
        self.lags = nn.Parameter(SPREAD * torch.randn(chunk if causal else 2 * chunk - 1))

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Average, then attend within chunks."""
        gate, q, k, r, h = self._signals(self.ema(u, lengths))
        valid = None if self.causal or lengths is None else valid_positions(u, lengths)
        mixed = self._attended(q, k, F.silu(self.v_proj(u)), valid)
        return self._gated(u, gate, mixed * r, h)

    def initial_state(self, batch: int) -> MegaState:
        """Return averages at rest and an empty chunk."""
        zeros, values = self.gamma.new_zeros, self.h_proj.in_features
        return self.ema.initial_state(batch), (
            zeros(batch, self.chunk, self.gamma.shape[1]),
            zeros(batch, self.chunk, values),
            torch.tensor(0),
        )

    def step(
        self, u: Float[Tensor, "b d"], state: MegaState
    ) -> tuple[Float[Tensor, "b d"], MegaState]:
        """Advance the averages, and attend over the chunk so far."""
        averages, (keys, values, count) = state
        y, averages = self.ema.step(u, averages)
        gate, q, k, r, h = self._signals(y)
        at = counted(count) % self.chunk
        write(keys, at, k)
        write(values, at, F.silu(self.v_proj(u)))
        if isinstance(at, int):
            seen, lags = slice(at + 1), self.lags[: at + 1].flip(0)
        else:
            seen, lag = slice(None), at - torch.arange(self.chunk, device=at.device)
            lags = self.lags[lag.clamp(min=0)].masked_fill(lag < 0, -torch.inf)
        scores = (keys[:, seen] @ q[..., None]).squeeze(-1) / math.sqrt(q.shape[-1])
        weights = (scores + lags).softmax(-1)
        mixed = (weights[:, None] @ values[:, seen]).squeeze(1)
        return self._gated(u, gate, mixed * r, h), (averages, (keys, values, count + 1))

    def advance(
        self, u: Float[Tensor, "b l d"], state: MegaState
    ) -> tuple[Float[Tensor, "b l d"], MegaState]:
        """Continue over a piece, whose first chunk goes on from the cached one."""
        averages, (keys, values, count) = state
        y, averages = self.ema.advance(u, averages)
        gate, q, k, r, h = self._signals(y)
        filled = int(count) % self.chunk
        k = torch.cat([keys[:, :filled].to(k), k], 1)
        v = torch.cat([values[:, :filled].to(k), F.silu(self.v_proj(u))], 1)
        mixed = self._attended(F.pad(q, (0, 0, filled, 0)), k, v)[:, filled:]
        left = k.shape[1] % self.chunk
        for cache, part in ((keys, k), (values, v)):
            cache[:, :left] = part[:, part.shape[1] - left :]
        after = averages, (keys, values, count + u.shape[1])
        return self._gated(u, gate, mixed * r, h), after

    def path(self) -> str:
        """Name the form of the averages, and the attention."""
        return f"{self.ema.path()}+chunks"

    def _signals(self, averaged: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the gate u, queries, keys, the reset gate r and what h is without attention."""
        gate, z, r, h = self.in_proj(F.silu(averaged)).split(self.parts, -1)
        z, r = F.silu(z), F.silu(r)
        q, k = (
            torch.addcmul(b.to(z.dtype), z, g.to(z.dtype))
            for g, b in zip(self.gamma, self.beta, strict=True)
        )
        return gate.sigmoid(), q, k, r, h

    def _gated(self, u: Tensor, gate: Tensor, mixed: Tensor, h: Tensor) -> Tensor:
        return gate * (F.silu(h + self.h_proj(mixed)) - u)

    def _attended(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None = None) -> Tensor:
        """Attend within chunks, the first of which begins with the sequence."""
        batch, length = q.shape[:2]
        size = min(self.chunk, length)
        q, k, v = (
            F.pad(part, (0, 0, 0, -length % size)).unflatten(1, (-1, size)).flatten(0, 1)
            for part in (q, k, v)
        )
        bias = self._bias(size).to(q.dtype)
        if not self.causal:
            if valid is None:
                valid = torch.ones(batch, length, dtype=torch.bool, device=q.device)
            seen = F.pad(valid, (0, -length % size)).view(-1, 1, size)
            # Where all is padding a query sees all of it: a softmax over nothing is not a number.
            bias = bias.masked_fill(~(seen | ~seen.any(-1, keepdim=True)), -torch.inf)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        whole: Tensor = mixed.unflatten(0, (batch, -1)).flatten(1, 2)
        return whole[:, :length]

    def _bias(self, size: int) -> Float[Tensor, "c c"]:
        """Return what is added to the score of each query and key, for its lag."""
        lag = torch.arange(size, device=self.lags.device)
        lag = lag[:, None] - lag
        if self.causal:
            return self.lags[lag.clamp(min=0)].masked_fill(lag < 0, -torch.inf)
        return self.lags[lag + self.chunk - 1]


def _linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.normal_(linear.weight, std=SPREAD)
    nn.init.zeros_(linear.bias)
    return linear
