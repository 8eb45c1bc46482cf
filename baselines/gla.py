"""GLA: linear attention whose key features forget at paces that the input sets.

Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient Training":
S_t = Diag(f_t) S_{t-1} + k_t v_t^T, y_t = S_t^T q_t, with f_t = sigmoid(W_2 W_1 u_t + b)^(1/16)
through a map of low rank. Heads' outputs are normed, and gated by a SiLU branch.

Axes: b batch, l length, d width, h heads, k key features, v value features.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import chosen
from baselines.ops.layers.matrix_layer import MatrixLayer, Outputs, head_features
from baselines.ops.scans.gla import FORMS, gla, gla_step
from harness.api import Model, SpecError, Trunk

RANK = 16
"""Rank of the map to the gates."""
TEMPERATURE = 16
"""By which the logarithms of the gates are divided, so that they begin near one."""

GLAState = Float[Tensor, "b h k v"]


@final
@dataclass(frozen=True, kw_only=True)
class GLA(Model):
    """Gated linear attention."""

    heads: int = 4
    """Heads, which share out keys of half the width and values of all of it."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "yang2024gla"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")

    def build(self, *, width: int, length: int, causal: bool) -> "GLALayer":  # noqa: ARG002
        """Build the layer, if heads divide half the width; it needs no length."""
        return GLALayer(width, self.heads, causal=causal)


@final
class GLALayer(MatrixLayer):
    """The mixer of GLA."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.keys, self.values = head_features(width, 2 * heads), head_features(width, heads)
        self.parts = [heads * self.keys, heads * self.keys, width]
        self.in_proj = nn.Linear(width, sum(self.parts), bias=False)
        self.forget = nn.Sequential(
            nn.Linear(width, RANK, bias=False), nn.Linear(RANK, heads * self.keys)
        )
        gate = nn.Linear(width, width, bias=False)
        self.end_with(width, (heads, self.values), gate)

    def ran(self, u: Float[Tensor, "b l d"], state: GLAState) -> tuple[Outputs, GLAState]:
        """Attend chunk by chunk."""
        return gla(*self._signals(u), state)

    def stepped(self, u: Float[Tensor, "b d"], state: GLAState) -> tuple[Outputs, GLAState]:
        """Add one key and read."""
        return gla_step(*self._signals(u), state)

    def zeros(self, batch: int) -> GLAState:
        """Return zeros."""
        return self.norm.weight.new_zeros(batch, self.heads, self.keys, self.values)

    def path(self) -> str:
        """Name the form of the scan."""
        return chosen(FORMS, self.norm.weight, widest=max(self.keys, self.values)).name

    def _signals(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return queries, keys, values and gates of heads."""
        forget = F.logsigmoid(self.forget(u).to(self.norm.weight.dtype)) / TEMPERATURE
        parts = (*self.in_proj(u).split(self.parts, -1), forget.exp())
        q, k, v, f = (part.unflatten(-1, (self.heads, -1)) for part in parts)
        return q / math.sqrt(self.keys), k, v, f
