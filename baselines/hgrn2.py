"""HGRN2: gated linear attention whose forget gates have lower bounds that rise with the layer.

Qin et al. 2024, "HGRN2: Gated Linear RNNs with State Expansion". f_t = beta + (1 - beta)
sigmoid(W_f x_t), S_t = Diag(f_t) S_{t-1} + (1 - f_t) i_t^T, y_t = S_t^T o_t. Activations and the
norm are those of the released one-dimensional module for the Long Range Arena: SiLU on i, sigmoid
on o, layer norm over the heads' outputs. A bidirectional layer adds, as that code does, the
same scan over the reversed sequence, with the same gates, before the norm.

Axes: b batch, l length, d width, h heads, e features of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import chosen
from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.scans.gla import FORMS, gla, gla_step
from harness.api import Mixer, Model, ParameterGroup, SpecError, Trunk

HGRN2State = Float[Tensor, "b h e e"]
Signals = tuple[Tensor, Tensor, Tensor, Tensor]


@final
@dataclass(frozen=True, kw_only=True)
class HGRN2(Model):
    """Hierarchically gated recurrence with matrix states."""

    expand: int = 8
    """Features of a head: the factor by which its outer products expand the state."""

    lr: ClassVar[float] = 5e-3
    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=1.0, ffn_form="swiglu")
    groups: ClassVar[dict[str, ParameterGroup]] = {"bounds": ParameterGroup()}
    reference: ClassVar[str] = "qin2024hgrn2, yang2024gla"

    def __post_init__(self) -> None:
        if self.expand < 1:
            raise SpecError(f"expand must be positive, not {self.expand}.")

    def build(self, *, width: int, length: int, causal: bool) -> "HGRN2Layer":
        """Build the only layer of a stack, whose gates have no lower bound."""
        return self.stack(depth=1, width=width, length=length, causal=causal)[0]

    def stack(
        self,
        *,
        depth: int,
        width: int,
        length: int,  # noqa: ARG002 - the same layers at every length
        causal: bool,
    ) -> Sequence["HGRN2Layer"]:
        """Build all layers around one parameter, the shares of each in the lower bounds.

        Raises:
            SpecError: The width does not divide into heads.
        """
        if width % self.expand:
            raise SpecError(
                f"A width of {width} does not divide into heads of {self.expand} features; choose "
                f"another expand."
            )
        bounds = nn.Parameter(torch.zeros(depth, width)) if depth > 1 else None
        return [HGRN2Layer(width, self.expand, layer, bounds, causal) for layer in range(depth)]


@final
class HGRN2Layer(Mixer):
    """The mixer of HGRN2."""

    def __init__(
        self, width: int, expand: int, layer: int, bounds: nn.Parameter | None, causal: bool
    ) -> None:
        super().__init__()
        self.expand, self.layer, self.causal = expand, layer, causal
        self.bounds = bounds
        self.in_proj = nn.Linear(width, 3 * width)
        self.norm = nn.LayerNorm(width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Scan once, or once from each end of the valid positions."""
        signals = self.signals(u)
        y, _ = gla(*signals, self._zeros(len(u)))
        if not self.causal:
            q, k, v, f = (reverse_valid(part, lengths) for part in signals)
            y = y + reverse_valid(gla(q, k, v, f, self._zeros(len(u)))[0], lengths)
        return self._mapped(y)

    def path(self) -> str:
        """Name the form of the scan."""
        return chosen(FORMS, self.norm.weight, widest=self.expand).name

    def lower_bound(self) -> Float[Tensor, " d"]:
        """Return beta: softmax over layers, summed up to this one, less the first layer's share."""
        if self.bounds is None:
            return self.norm.weight.new_zeros(self.norm.weight.shape)
        return self.bounds.softmax(0)[1 : self.layer + 1].sum(0)

    def signals(self, u: Float[Tensor, "b *l d"]) -> Signals:
        """Return queries (output gates), keys (input gates), values and forget gates of heads."""
        value, read, forget = self.in_proj(u).chunk(3, -1)
        open_ = 1 - self.lower_bound()
        forget = forget.to(open_.dtype)
        # 1 - f from the complementary sigmoid: subtracting would lose its digits where f is near 1.
        key = open_ * torch.sigmoid(-forget)
        gate = 1 - open_ + open_ * torch.sigmoid(forget)
        parts = (read.sigmoid(), key, F.silu(value), gate)
        q, k, v, f = (part.unflatten(-1, (-1, self.expand)) for part in parts)
        return q, k, v, f

    def initial_state(self, batch: int) -> HGRN2State:
        """Return zeros."""
        return self._zeros(batch)

    def advance(
        self, u: Float[Tensor, "b l d"], state: HGRN2State
    ) -> tuple[Float[Tensor, "b l d"], HGRN2State]:
        """Continue over a piece of a sequence, chunk by chunk."""
        y, state = gla(*self.signals(u), state)
        return self._mapped(y), state

    def step(
        self, u: Float[Tensor, "b d"], state: HGRN2State
    ) -> tuple[Float[Tensor, "b d"], HGRN2State]:
        """Advance one position."""
        y, state = gla_step(*self.signals(u), state)
        return self._mapped(y), state

    def _mapped(self, y: Tensor) -> Tensor:
        mapped: Tensor = self.out_proj(self.norm(y.flatten(-2)))
        return mapped

    def _zeros(self, batch: int) -> HGRN2State:
        width = len(self.norm.weight)
        return self.norm.weight.new_zeros(batch, width // self.expand, self.expand, self.expand)
