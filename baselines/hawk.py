"""Hawk: the real-gated linear recurrent unit behind a short convolution, gated by a GELU branch.

De et al. 2024, "Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient
Language Models", sections 2.3, 2.4 and 4.1: a_t = sigmoid(Lambda)^(c r_t), h_t = a_t h_{t-1} +
sqrt(1 - a_t^2) (i_t x_t), gates r and i block-diagonal in x. Bidirectional stacks follow Blouir et
al. 2024, "Birdie", sections 3.1, A.3 and A.4: layers whose states run half forwards and half
backwards alternate with causal ones; see `baselines.ops.layers.prefix_layer` for its mask. The
convolution looks back over three positions whatever the mask, so packed samples need as many
spacers between them.

Axes: b batch, l length, d width, s states, k blocks, m inputs of the convolution's window.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.layers.prefix_layer import PrefixLayer, Signals, Window, alternating
from baselines.ops.scans.rg_lru import SHARPNESS, Gates, rg_lru_drive
from harness.api import (
    Model,
    ParameterGroup,
    SpecError,
    Trunk,
    own_tensors,
    tensor_versions,
)

TAPS = 4


@final
@dataclass(frozen=True, kw_only=True)
class Hawk(Model):
    """Real-gated linear recurrent unit."""

    expand: float = 4 / 3
    """States as a multiple of the width, rounded up to an even multiple of `blocks`."""
    blocks: int = 16
    """Blocks of the two gates' matrices."""

    version: ClassVar[int] = 2
    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    groups: ClassVar[dict[str, ParameterGroup]] = dict.fromkeys(("W_a", "W_x"), ParameterGroup())
    reference: ClassVar[str] = "de2024griffin, blouir2024birdie"

    def __post_init__(self) -> None:
        if not self.expand > 0 or self.blocks < 1:
            raise SpecError(
                f"expand and blocks must be positive, not {self.expand} and {self.blocks}."
            )

    def build(self, *, width: int, length: int, causal: bool) -> "HawkLayer":  # noqa: ARG002
        """Build the first layer of a stack; it needs no length."""
        unit = math.lcm(2, self.blocks)
        states = unit * math.ceil(self.expand * width / unit)
        return HawkLayer(width, states, self.blocks, causal=causal)

    def stack(self, *, depth: int, width: int, length: int, causal: bool) -> Sequence["HawkLayer"]:
        """Build layers that are causal, or bidirectional and causal in turn."""
        causals = alternating(depth, causal=causal)
        return [self.build(width=width, length=length, causal=each) for each in causals]


@final
class HawkLayer(PrefixLayer):
    """The mixer of Hawk."""

    def __init__(self, width: int, states: int, blocks: int, *, causal: bool) -> None:
        super().__init__(width, states, TAPS - 1, causal=causal)
        self.project = nn.Linear(width, 2 * states, bias=False)
        self.conv = nn.Parameter(torch.empty(states, TAPS).uniform_(-0.5, 0.5))
        size = states // blocks
        self.W_a, self.W_x = (
            nn.Parameter(torch.randn(blocks, size, size) / math.sqrt(size)) for _ in range(2)
        )
        self.b_a, self.b_x = (nn.Parameter(torch.zeros(states)) for _ in range(2))
        # a^c = sigmoid(Lambda)^c is uniform between 0.9 and 0.999.
        decay = torch.empty(states).uniform_(0.9, 0.999) ** (1 / SHARPNESS)
        self.Lambda = nn.Parameter(decay.logit())
        self._cached: tuple[object, tuple[Tensor, ...]] = None, ()

    def signals(self, u: Float[Tensor, "b l d"], window: Window) -> Signals:
        """Return a, sqrt(1 - a^2) i x and the GELU branch, with the convolution's next window."""
        x, gate = self.project(u).chunk(2, -1)
        convolved = causal_conv(x, self.conv, None, window)
        gates = Gates(self.W_a, self.W_x, self.b_a, self.b_x, self.Lambda)
        forget, drive = rg_lru_drive(convolved, gates)
        return forget, drive, F.gelu(gate), last_inputs(x, window)

    def position(self, u: Float[Tensor, "b d"], window: Window) -> Signals:
        """Return the same for one position, with both gates by one product of each block."""
        x, gate = self.project(u).chunk(2, -1)
        taps, weight, bias, rate = self._prepared()
        convolved, window = causal_conv_step(x, taps, None, window)
        rows = convolved.unflatten(-1, (len(weight), -1)).transpose(0, 1)
        r, i = (rows @ weight).add(bias).sigmoid_().chunk(2, -1)
        log_a = rate * r
        drive = torch.expm1(2 * log_a).neg_().sqrt_() * i * rows
        forget, drive = (y.transpose(0, 1).reshape(x.shape) for y in (log_a.exp_(), drive))
        return forget, drive, F.gelu(gate), window

    def _prepared(self) -> tuple[Tensor, ...]:
        """Return taps, both gates' weights side by side and the decays' exponents, for steps.

        They are made again only when a parameter has changed.
        """
        present = tensor_versions(own_tensors(self))
        cached = self._cached  # which another thread may replace at any time
        if cached[0] != present:
            rows = (each.view(len(self.W_a), 1, -1) for each in (self.b_a, self.b_x, self.Lambda))
            b_a, b_x, Lambda = rows
            weight, bias = torch.cat([self.W_a, self.W_x], -1), torch.cat([b_a, b_x], -1)
            taps, rate = self.conv.T.contiguous().T, SHARPNESS * F.logsigmoid(Lambda)
            cached = self._cached = present, (taps, weight, bias, rate)
        return cached[1]
