"""MesaNet: a state that answers each query with the least-squares fit of all it has seen.

von Oswald et al. 2025, "MesaNet: Sequence Modeling by Locally Optimal Test-Time Training":
y_t = G_t^T (H_t + Lambda)^-1 q_t, with fading sums H of beta k k^T and G of beta k v^T, solved by
conjugate gradients at every position; keys and queries are of length one, behind a short
convolution.

Axes: b batch, l length, d width, h heads, k key features, c channels, m taps but one.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.layers.delta_layer import unit
from baselines.ops.layers.matrix_layer import MatrixLayer, Outputs, head_features
from baselines.ops.scans.mesa import MesaState, mesa, mesa_step
from baselines.ops.ssm.discretisation import inverse_softplus
from harness.api import Model, ParameterGroup, SpecError, Trunk

TAPS = 4
LEAST, FIRST = 0.25, 1.0
"""The least ridge, and that of every feature at first."""

LayerState = tuple[MesaState, Float[Tensor, "b m c"]]


@final
@dataclass(frozen=True, kw_only=True)
class MesaNet(Model):
    """Mesa layers, linear regression at every position."""

    heads: int = 2
    """Heads, which share out the width."""
    steps: int = 30
    """Steps of conjugate gradients for each position's system."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    groups: ClassVar[dict[str, ParameterGroup]] = {"ridge": ParameterGroup()}
    reference: ClassVar[str] = "vonoswald2025mesanet"

    def __post_init__(self) -> None:
        for option in ("heads", "steps"):
            if (value := getattr(self, option)) < 1:
                raise SpecError(f"{option} must be positive, not {value}.")

    def build(self, *, width: int, length: int, causal: bool) -> "MesaLayer":  # noqa: ARG002
        """Build the layer, if heads divide the width; it needs no length."""
        return MesaLayer(width, self.heads, self.steps, causal=causal)


@final
class MesaLayer(MatrixLayer):
    """The mixer of MesaNet."""

    def __init__(self, width: int, heads: int, steps: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.steps, self.causal = heads, steps, causal
        self.features = head_features(width, heads)
        self.in_proj = nn.Linear(width, 3 * width, bias=False)
        self.conv = nn.Parameter(torch.empty(2 * width, TAPS).uniform_(-0.5, 0.5))
        self.gates = nn.Linear(width, 2 * heads)
        first = torch.full((heads, self.features), FIRST - LEAST)
        self.ridge = nn.Parameter(inverse_softplus(first))
        self.end_with(width, (heads, self.features), None)

    def ran(self, u: Float[Tensor, "b l d"], state: LayerState) -> tuple[Outputs, LayerState]:
        """Fit every position of a chunk at once."""
        sums, window = state
        mixed, v = self._projected(u)
        convolved = causal_conv(mixed, self.conv, None, window, silu=True)
        given = self._signals(convolved, v), *self._paces(u), self._ridge()
        y, sums = mesa(*given, sums, steps=self.steps)
        return y, (sums, last_inputs(mixed, window))

    def stepped(self, u: Float[Tensor, "b d"], state: LayerState) -> tuple[Outputs, LayerState]:
        """Add one key and fit anew."""
        sums, window = state
        mixed, v = self._projected(u)
        convolved, window = causal_conv_step(mixed, self.conv, None, window)
        given = self._signals(F.silu(convolved), v), *self._paces(u), self._ridge()
        y, sums = mesa_step(*given, sums, steps=self.steps)
        return y, (sums, window)

    def zeros(self, batch: int) -> LayerState:
        """Return sums and inputs of zero."""
        shape, new = (batch, self.heads, self.features, self.features), self.conv.new_zeros
        return (new(shape), new(shape)), new(batch, TAPS - 1, len(self.conv))

    def _projected(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is convolved, queries beside keys, and the values."""
        mixed, v = self.in_proj(u).split([len(self.conv), u.shape[-1]], -1)
        return mixed, v

    def _signals(self, mixed: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of heads."""
        q, k = mixed.chunk(2, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)) for part in (q, k, v))
        return unit(q), unit(k), v

    def _paces(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logarithms of the decays, and the positions' weights."""
        forget, weigh = self.gates(u).to(self.gates.bias.dtype).chunk(2, -1)
        return F.logsigmoid(forget), weigh.sigmoid()

    def _ridge(self) -> Float[Tensor, "h k"]:
        return F.softplus(self.ridge) + LEAST
