"""Gated SSM: an input gate, a forget gate and an output gate around states that never meet.

Blouir et al. 2024, "Birdie: Advancing State Space Models with Reward-Driven Objectives and
Curricula". h_t = f_t h_{t-1} + i_t z_t, y_t = W_out (o_t h_t) with f, i sigmoids, o a GELU and z
linear in the input; recurrence and feed-forward block are one. Bidirectional stacks alternate, as
its sections 3.1, A.3 and A.4 have it, layers whose states run half forwards and half backwards with
causal ones; see `baselines.ops.layers.prefix_layer` for the mask that ends a prefix.

Axes: b batch, l length, d width, s states, m inputs of a window (none here).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.layers.prefix_layer import PrefixLayer, Signals, Window, alternating
from harness.api import Model, ParameterGroup, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class GatedSSM(Model):
    """Gated recurrence with an input, a forget and an output gate."""

    expand: float = 1.25
    """States as a multiple of the width, rounded up to an even number."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none")
    groups: ClassVar[dict[str, ParameterGroup]] = {"W_f": ParameterGroup()}
    reference: ClassVar[str] = "blouir2024birdie"

    def __post_init__(self) -> None:
        if not self.expand > 0:
            raise SpecError(f"expand must be positive, not {self.expand}.")

    def build(self, *, width: int, length: int, causal: bool) -> "GatedSSMLayer":  # noqa: ARG002
        """Build the first layer of a stack; it needs no length."""
        return GatedSSMLayer(width, 2 * math.ceil(self.expand * width / 2), causal=causal)

    def stack(
        self, *, depth: int, width: int, length: int, causal: bool
    ) -> Sequence["GatedSSMLayer"]:
        """Build layers that are causal, or bidirectional and causal in turn."""
        causals = alternating(depth, causal=causal)
        return [self.build(width=width, length=length, causal=each) for each in causals]


@final
class GatedSSMLayer(PrefixLayer):
    """The mixer of the Gated SSM."""

    def __init__(self, width: int, states: int, *, causal: bool) -> None:
        super().__init__(width, states, 0, causal=causal)
        self.project = nn.Linear(width, 3 * states, bias=False)
        self.W_f = nn.Parameter(nn.Linear(width, states, bias=False).weight.detach())

    def signals(self, u: Float[Tensor, "b *l d"], window: Window) -> Signals:
        """Return f, i z and o, each position its own; there is no window."""
        i, z, o = self.project(u).chunk(3, -1)
        return F.linear(u, self.W_f).sigmoid(), i.sigmoid() * z, F.gelu(o), window
