"""RetNet: linear attention whose heads forget at fixed paces, with rotary positions.

Sun et al. 2023, "Retentive Network: A Successor to Transformer for Large Language Models":
S_t = gamma S_{t-1} + k_t v_t^T, y_t = S_t^T q_t, with gamma = 1 - 2^(-5-h) in head h. Heads'
outputs are normed, and gated by a SiLU branch.

Axes: b batch, l length, d width, h heads, k key features, v value features.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.attention.heads import consecutive, rotate, rotation
from baselines.ops.forms import chosen
from baselines.ops.layers.matrix_layer import MatrixLayer, Outputs, head_features
from baselines.ops.rows import Position
from baselines.ops.scans.ssd import FORMS, ssd, ssd_step
from harness.api import Model, SpecError, Trunk, counted

Drives = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
RetNetState = tuple[Float[Tensor, "b h k v"], Int[Tensor, ""]]
"""The memory, and how many positions it holds."""


@final
@dataclass(frozen=True, kw_only=True)
class RetNet(Model):
    """Multi-scale retention."""

    heads: int = 4
    """Heads, which share out the width; each has a pace of its own."""
    expand_v: int = 2
    """Features of a head's values, as a multiple of those of its keys."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "sun2023retnet, su2021roformer"

    def __post_init__(self) -> None:
        for option in ("heads", "expand_v"):
            if (value := getattr(self, option)) < 1:
                raise SpecError(f"{option} must be positive, not {value}.")

    def build(self, *, width: int, length: int, causal: bool) -> "RetNetLayer":  # noqa: ARG002
        """Build the layer, if heads divide half the width; it needs no length."""
        return RetNetLayer(width, self.heads, self.expand_v, causal=causal)


@final
class RetNetLayer(MatrixLayer):
    """The mixer of RetNet."""

    def __init__(self, width: int, heads: int, expand_v: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        # Rotary positions turn pairs of features.
        self.keys = 2 * head_features(width, 2 * heads)
        self.values = expand_v * self.keys
        self.parts = [2 * width, expand_v * width]
        self.in_proj = nn.Linear(width, sum(self.parts), bias=False)
        gate = nn.Linear(width, expand_v * width, bias=False)
        self.end_with(width, (heads, self.values), gate)

    def ran(self, u: Float[Tensor, "b l d"], state: RetNetState) -> tuple[Outputs, RetNetState]:
        """Attend chunk by chunk."""
        memory, start = state
        y, memory = ssd(*self._drives(u, int(start)), memory)
        return y, (memory, start + u.shape[1])

    def stepped(self, u: Float[Tensor, "b d"], state: RetNetState) -> tuple[Outputs, RetNetState]:
        """Add one key and read."""
        memory, start = state
        v, dt, log_decay, k, q = (part[:, 0] for part in self._drives(u[:, None], counted(start)))
        y, memory = ssd_step(v, dt, log_decay, k, q, memory)
        return y, (memory, start + 1)

    def zeros(self, batch: int) -> RetNetState:
        """Return zeros."""
        shape = batch, self.heads, self.keys, self.values
        return self.norm.weight.new_zeros(shape), torch.tensor(0)

    def path(self) -> str:
        """Name the form of the scan."""
        return chosen(FORMS, self.norm.weight, widest=max(self.keys, self.values)).name

    def _drives(self, u: Tensor, start: Position) -> Drives:
        """Return values, what scales the keys, log decays, keys and queries of heads."""
        turning, v = self.in_proj(u).split(self.parts, -1)
        # Queries and keys are turned together, as twice as many heads.
        turning, v = turning.unflatten(-1, (2 * self.heads, -1)), v.unflatten(-1, (self.heads, -1))
        positions = consecutive(start, u.shape[1], u)
        q, k = rotate(turning, rotation(positions, self.keys, v.dtype)).chunk(2, -2)
        dtype = self.norm.weight.dtype
        powers = torch.arange(-5.0, -5 - self.heads, -1, device=u.device, dtype=dtype)
        log_decay = torch.log1p(-powers.exp2()).expand(*u.shape[:2], -1)
        return v, torch.full_like(log_decay, self.keys**-0.5), log_decay, k, q
