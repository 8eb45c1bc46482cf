"""mLSTM: the matrix memory of xLSTM, with exponential gates and a normaliser.

Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory", in the layer of Beck et al. 2025,
"xLSTM 7B": no convolution, keys of half the width, gates whose logits are capped softly, and a
gated feed-forward map behind it. With sigmoid gates there is neither maximum nor normaliser (Beck
et al. 2025, "Tiled Flash Linear Attention").

Axes: b batch, l length, d width, h heads, k key features, v value features, w = v + 1.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import chosen
from baselines.ops.layers.matrix_layer import MatrixLayer, Outputs, head_features
from baselines.ops.scans.mlstm import FORMS, MLSTMState, mlstm, mlstm_step
from baselines.ops.scans.ssd import FORMS as SSD_FORMS
from baselines.ops.scans.ssd import ssd, ssd_step
from harness.api import Model, SpecError, Trunk

CAP = 15.0
"""Between which and its negative the gates' logits lie."""

Memory = MLSTMState | Float[Tensor, "b h k v"]
"""With sigmoid gates the matrix is all."""


@final
@dataclass(frozen=True, kw_only=True)
class MLSTM(Model):
    """Matrix LSTM."""

    heads: int = 4
    """Heads, which share out keys of half the width and values of all of it."""
    gates: Literal["exponential", "sigmoid"] = "exponential"
    """How a value is weighed: by the exponential of its logit, normalised, or by its sigmoid."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "beck2024xlstm, beck2025xlstm7b, beck2025tfla"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")

    def build(self, *, width: int, length: int, causal: bool) -> "MLSTMLayer":  # noqa: ARG002
        """Build the layer, if heads divide half the width; it needs no length."""
        return MLSTMLayer(width, self.heads, normed=self.gates == "exponential", causal=causal)


@final
class MLSTMLayer(MatrixLayer):
    """The mixer of mLSTM."""

    def __init__(self, width: int, heads: int, *, normed: bool, causal: bool) -> None:
        super().__init__()
        self.heads, self.normed, self.causal = heads, normed, causal
        self.keys, self.values = head_features(width, 2 * heads), head_features(width, heads)
        self.parts = [heads * self.keys, heads * self.keys, width]
        self.in_proj = nn.Linear(width, sum(self.parts), bias=False)
        self.gates = nn.Linear(width, 2 * heads)
        # Nothing is selected at first, and heads forget at paces of their own.
        with torch.no_grad():
            self.gates.weight.zero_()
            self.gates.bias[:heads].normal_(0, 0.1)
            self.gates.bias[heads:] = torch.linspace(3.0, 6.0, heads)
        gate = nn.Linear(width, width, bias=False)
        self.end_with(width, (heads, self.values), gate, "sigmoid")

    def ran(self, u: Float[Tensor, "b l d"], state: Memory) -> tuple[Outputs, Memory]:
        """Remember chunk by chunk."""
        q, k, v, write, forget = self._signals(u)
        if isinstance(state, tuple):
            return mlstm(q, k, v, write, forget, state)
        return ssd(v, write.sigmoid(), F.logsigmoid(forget), k, q, state)

    def stepped(self, u: Float[Tensor, "b d"], state: Memory) -> tuple[Outputs, Memory]:
        """Add one key and read."""
        q, k, v, write, forget = self._signals(u)
        if isinstance(state, tuple):
            return mlstm_step(q, k, v, write, forget, state)
        return ssd_step(v, write.sigmoid(), F.logsigmoid(forget), k, q, state)

    def zeros(self, batch: int) -> Memory:
        """Return zeros."""
        shape, new = (batch, self.heads, self.keys), self.norm.weight.new_zeros
        if self.normed:
            return new(*shape, self.values + 1), new(shape[:2])
        return new(*shape, self.values)

    def path(self) -> str:
        """Name the form of the scan."""
        forms, values = (FORMS, self.values + 1) if self.normed else (SSD_FORMS, self.values)
        return chosen(forms, self.norm.weight, widest=max(self.keys, values)).name

    def _signals(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return queries, keys and values of heads, and the logits of both gates."""
        parts = self.in_proj(u).split(self.parts, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)) for part in parts)
        logits = CAP * torch.tanh(self.gates(u).to(self.gates.bias.dtype) / CAP)
        write, forget = logits.chunk(2, -1)
        return q / math.sqrt(self.keys), k, v, write, forget
