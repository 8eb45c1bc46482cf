"""sLSTM: the recurrent memory of xLSTM, with exponential gates that see the last output.

Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory", in the block of its appendix with a
feed-forward map behind it: a short convolution before the input and forget gates, block-diagonal
maps to all logits, a recurrent matrix a head, and a norm of each head's output. It can track
states that no memory parallel in time can, and is not parallel in time itself.

Axes: b batch, l length, d width, h heads, e features of a head, m taps but one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.layers.matrix_layer import head_features
from baselines.ops.scans.slstm import SLSTMState, slstm, slstm_step
from harness.api import Mixer, Model, SpecError, Trunk

TAPS, EPS = 4, 1e-5
LayerState = tuple[SLSTMState, Float[Tensor, "b m d"]]


@final
@dataclass(frozen=True, kw_only=True)
class SLSTM(Model):
    """Scalar LSTM."""

    heads: int = 4
    """Heads, which share out the width; only features of one head see each other's last outputs."""

    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=4 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "beck2024xlstm"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")

    def build(self, *, width: int, length: int, causal: bool) -> "SLSTMLayer":
        """Build the only layer of a stack."""
        return self.stack(depth=1, width=width, length=length, causal=causal)[0]

    def stack(
        self,
        *,
        depth: int,
        width: int,
        length: int,  # noqa: ARG002 - the same layers at every length
        causal: bool,
    ) -> Sequence["SLSTMLayer"]:
        """Build layers, of which later ones begin with fewer features that remember long."""
        shares = [layer / max(1, depth - 1) for layer in range(depth)]
        return [SLSTMLayer(width, self.heads, share, causal=causal) for share in shares]


@final
class SLSTMLayer(Mixer):
    """The mixer of sLSTM; a bidirectional one adds both directions before the norm."""

    def __init__(self, width: int, heads: int, share: float, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        features = head_features(width, heads)
        self.conv_weight = nn.Parameter(torch.empty(width, TAPS).uniform_(-0.5, 0.5))
        self.conv_bias = nn.Parameter(torch.empty(width).uniform_(-0.5, 0.5))
        spread = math.sqrt(2 / (5 * width))
        self.to_gates, self.to_cell = (
            nn.Parameter(spread * torch.randn(heads, features, 2 * features)) for _ in range(2)
        )
        self.recurrent = nn.Parameter(torch.zeros(heads, features, 4 * features))
        self.bias = nn.Parameter(torch.zeros(heads, 4 * features))
        ramp = torch.arange(features) / max(1, features - 1)
        with torch.no_grad():
            self.bias[:, features : 2 * features] = 5 - 12 * ramp ** (0.3 + 1.3 * share)
        self.norm_weight = nn.Parameter(torch.ones(heads, features))

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Walk once, or once from each end of the valid positions."""
        y, _ = self._walked(u, self._zeros(len(u)))
        if not self.causal:
            again, _ = self._walked(reverse_valid(u, lengths), self._zeros(len(u)))
            y = y + reverse_valid(again, lengths)
        return self._normed(y)

    def initial_state(self, batch: int) -> LayerState:
        """Return the state of nothing."""
        return self._zeros(batch)

    def advance(
        self, u: Float[Tensor, "b l d"], state: LayerState
    ) -> tuple[Float[Tensor, "b l d"], LayerState]:
        """Continue over a piece of a sequence, with what needs no state done at once."""
        y, state = self._walked(u, state)
        return self._normed(y), state

    def step(
        self, u: Float[Tensor, "b d"], state: LayerState
    ) -> tuple[Float[Tensor, "b d"], LayerState]:
        """Advance one position."""
        cells, window = state
        convolved, window = causal_conv_step(u, self.conv_weight, self.conv_bias, window)
        y, cells = slstm_step(self._logits(F.silu(convolved), u), self.recurrent, cells)
        return self._normed(y), (cells, window)

    def _walked(self, u: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        cells, window = state
        convolved = causal_conv(u, self.conv_weight, self.conv_bias, window, silu=True)
        y, cells = slstm(self._logits(convolved, u), self.recurrent, cells)
        return y, (cells, last_inputs(u, window))

    def _logits(self, convolved: Tensor, u: Tensor) -> Float[Tensor, "b *l h g"]:
        """Return what the input adds to the logits of i, f, the cell and o."""
        halves = (
            torch.einsum("...he,heg->...hg", x.unflatten(-1, (self.heads, -1)), matrix)
            for x, matrix in ((convolved, self.to_gates), (u, self.to_cell))
        )
        return torch.cat([*halves], -1) + self.bias

    def _normed(self, y: Tensor) -> Tensor:
        normed = F.layer_norm(y.to(self.norm_weight), y.shape[-1:], eps=EPS)
        return (normed * self.norm_weight).flatten(-2)

    def _zeros(self, batch: int) -> LayerState:
        h, c, n, m = self.bias.new_zeros(4, batch, self.heads, self.norm_weight.shape[1]).unbind()
        # Below every logit: what stands before the first position weighs nothing.
        m.fill_(-torch.inf)
        return (h, c, n, m), self.bias.new_zeros(batch, TAPS - 1, len(self.conv_bias))
