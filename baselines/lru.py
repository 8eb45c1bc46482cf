"""LRU: a diagonal linear RNN on a ring inside the unit circle, with normalised inputs.

Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu, De 2023, "Resurrecting Recurrent Neural Networks
for Long Sequences" (arXiv 2303.06349). x_l = lambda x_{l-1} + gamma B u_l, y_l = Re(C x_l) + D u_l
with lambda = exp(-exp(nu_log) + i exp(theta_log)), gamma = exp(gamma_log); appendix A. For its
bidirectional runs the paper names "a similar setup" as S4's (D.1): here, as in S5, a second C reads
a scan over reversed time that shares all else, and both see the present position.

Axes: d channels, k directions, n modes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.layers.mimo_layer import MimoLayer, System
from baselines.ops.ssm.complex_parameters import as_complex
from harness.api import Model, ParameterGroup, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class LRU(Model):
    """Linear recurrent unit."""

    state: int = 256
    """N, complex states of the layer; the paper has 192 to 384."""
    r_min: float = 0.0
    """Inner radius of the ring on which poles start."""
    r_max: float = 1.0
    """Outer radius of the ring on which poles start."""
    max_phase: float = 6.28
    """Largest initial phase of a pole; the paper takes pi / 10 for Path-X."""
    lr_factor: float = 0.25
    """Learning rate of poles, B and gamma as a share of the others'; the paper has 0.1 to 0.5."""

    lr: ClassVar[float] = 1e-3
    trunk: ClassVar[Trunk] = Trunk(norm="batch")
    reference: ClassVar[str] = "orvieto2023lru"

    def __post_init__(self) -> None:
        if self.state < 1:
            raise SpecError(f"state must be positive, not {self.state}.")
        if not 0 <= self.r_min < self.r_max <= 1:
            raise SpecError(f"0 <= r_min < r_max <= 1 must hold, not {self.r_min}, {self.r_max}.")
        for name in ("max_phase", "lr_factor"):
            if getattr(self, name) <= 0:
                raise SpecError(f"{name} must be positive, not {getattr(self, name)}.")

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Return a smaller rate without decay for poles, B and gamma, and decay for D (D.2)."""
        slow = ParameterGroup(lr=self.lr * self.lr_factor)
        groups = dict.fromkeys(("nu_log", "theta_log", "gamma_log", "B"), slow)
        return groups | {"D": ParameterGroup(weight_decay=None)}

    def build(self, *, width: int, length: int, causal: bool) -> "LRULayer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        return LRULayer(self, width, causal=causal)


@final
class LRULayer(MimoLayer):
    """The mixer of the LRU."""

    def __init__(self, recipe: LRU, width: int, *, causal: bool) -> None:
        modes = recipe.state
        super().__init__(width, modes, causal=causal)
        # Uniform on the ring (lemma 2), in float64: near one, float32 has no room for 1 - |lambda|.
        inner, outer = recipe.r_min**2, recipe.r_max**2
        squared = inner + (outer - inner) * torch.rand(modes, dtype=torch.float64)
        phase = recipe.max_phase * torch.rand(modes, dtype=torch.float64)
        dtype = self.D.dtype
        self.nu_log = nn.Parameter((-squared.log() / 2).log().to(dtype))
        self.theta_log = nn.Parameter(phase.log().to(dtype))
        self.gamma_log = nn.Parameter(((1 - squared).log() / 2).to(dtype))
        self.B = nn.Parameter(torch.randn(modes, width, 2) / math.sqrt(2 * width))
        self.C = nn.Parameter(torch.randn(self.directions, width, modes, 2) / math.sqrt(modes))

    def system(self) -> System:
        """Exponentiate: the poles stay inside the unit circle whatever the parameters."""
        pole = torch.complex(-self.nu_log.double().exp(), self.theta_log.double().exp()).exp()
        return System(
            pole,
            as_complex(self.B) * self.gamma_log.exp()[:, None],
            as_complex(self.C),
        )

    def forward(
        self,
        u: Float[Tensor, "b l d"],
        lengths: Int[Tensor, " b"] | None = None,  # noqa: ARG002 - the contract clears padding
    ) -> Float[Tensor, "b l d"]:
        """Run the recurrence over a sequence, in both directions if the layer sees the future."""
        return self.mix(u)
