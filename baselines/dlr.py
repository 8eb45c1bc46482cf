"""DLR: a diagonal linear RNN whose poles all channels share, with no discretisation.

Gupta, Mehta, Berant 2022, "Simplifying and Understanding State Space Models with Diagonal Linear
RNNs". s_l = diag(exp(lambda)) s_{l-1} + u_l, y_l = Re <w, s_l> + D u_l.

Axes: d channels, k kernels of one channel, n modes.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Complex, Complex128
from torch import Tensor, nn

from baselines.ops.diagonal_layer import DiagonalLayer
from baselines.ops.draws import log_uniform
from harness.api import Group, Model, SpecError

PARTS = {"real": (1,), "imag": (-1j,), "sum": (1 - 1j,), "prod": (1, -1j)}
"""Factors whose products with a complex kernel have the wanted real parts."""
LR = 8e-4


@final
@dataclass(frozen=True, kw_only=True)
class DLR(Model):
    """Diagonal linear RNN."""

    state: int = 1024
    """N, modes, as in the released configurations; roots of unity delay exactly if N >= length."""
    kernel: Literal["real", "imag", "sum", "prod"] = "real"
    """Real kernel made from the complex one: a part, their sum, or their product."""
    dt_min: float = 1e-4
    """Smallest initial value of twice a mode's decay a step."""
    dt_max: float = 1e-1

    lr: ClassVar[float] = LR
    apart: ClassVar[dict[str, Group]] = dict.fromkeys(("r", "theta", "W"), Group(lr=LR))
    reference: ClassVar[str] = "gupta2022dlr"

    def __post_init__(self) -> None:
        if self.state < 1:
            raise SpecError(f"state must be positive, not {self.state}.")
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")

    def build(self, *, width: int, length: int, causal: bool) -> "DLRLayer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        return DLRLayer(self, width, causal=causal)


@final
class DLRLayer(DiagonalLayer):
    """The mixer of DLR."""

    def __init__(self, recipe: DLR, width: int, *, causal: bool) -> None:
        super().__init__(width, recipe.state, causal=causal)
        self.product = recipe.kernel == "prod"
        self.parts = PARTS[recipe.kernel]
        dt = log_uniform(recipe.dt_min, recipe.dt_max, self.modes).exp()
        # The square root parameterisation: Re lambda = -r^2, theta the roots of unity.
        self.r = nn.Parameter((dt / 2).sqrt())
        self.theta = nn.Parameter(torch.arange(self.modes) * (2 * math.pi / self.modes))
        self.W = nn.Parameter(torch.randn(width, self.directions, self.modes, 2) / self.modes)

    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "1 n"]]:
        """Return the weights, once a part that the kernel needs, and exp(lambda)."""
        pole = torch.complex(-self.r.double().square(), self.theta.double()).exp()
        W = torch.view_as_complex(self.W)
        weight = torch.stack([W * part for part in self.parts], 2)
        return weight.flatten(1, 2), pole[None]
