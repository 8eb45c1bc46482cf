"""DLR: a diagonal linear RNN whose poles all channels share, with no discretisation.

Gupta, Mehta, Berant 2022, "Simplifying and Understanding State Space Models with Diagonal Linear
RNNs". s_l = diag(exp(lambda)) s_{l-1} + u_l, y_l = Re <w, s_l> + D u_l. Not causal: a second W with
the same poles reads the future from the next position on, and the two are summed, as in the
authors' code, whose variants `form` and `kernel` follow too.

Axes: d channels, k kernels of one channel, n modes.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Complex, Complex128, Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.layers.diagonal_layer import DiagonalLayer
from baselines.ops.ssm.complex_parameters import as_complex
from baselines.ops.ssm.discretisation import log_uniform
from harness.api import Model, ParameterGroup, SpecError

PARTS = {"real": (1,), "imag": (-1j,), "sum": (1 - 1j,), "prod": (1, -1j), "real-prod": (1, -1j)}
"""Factors whose products with a complex kernel have the wanted real parts."""


@final
@dataclass(frozen=True, kw_only=True)
class DLR(Model):
    """Diagonal linear RNN."""

    state: int = 1024
    """N, modes, as in the released configurations; roots of unity delay exactly if N >= length."""
    kernel: Literal["real", "imag", "sum", "prod", "real-prod"] = "real"
    """Real kernel made from the complex one: a part, their sum, their product, or the real part in
    the first half of the channels and the product in the second."""
    form: Literal["complex", "phase", "phase-real", "decay-real"] = "complex"
    """Complex poles and weights; poles on the unit circle; these with real weights; real poles and
    weights."""
    init: Literal["omega", "randn"] = "omega"
    """Initial phases: roots of unity, or standard normal; decay-real has none."""
    dt_min: float = 1e-4
    """Smallest initial value of twice a mode's decay a step; phase forms have none."""
    dt_max: float = 1e-1
    """Largest initial value of the same."""

    lr: ClassVar[float] = 8e-4
    groups: ClassVar[dict[str, ParameterGroup]] = {
        **dict.fromkeys(("r", "theta", "W"), ParameterGroup()),
        "D": ParameterGroup(weight_decay=None),
    }
    reference: ClassVar[str] = "gupta2022dlr"

    def __post_init__(self) -> None:
        if self.state < 1:
            raise SpecError(f"state must be positive, not {self.state}.")
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")
        if self.form == "decay-real" and self.kernel != "real":
            raise SpecError("form=decay-real has no imaginary part: use kernel=real.")
        if self.form == "decay-real" and self.init != DLR.init:
            raise SpecError("form=decay-real has no phases: leave init alone.")
        decays = self.dt_min, self.dt_max
        if self.form.startswith("phase") and decays != (DLR.dt_min, DLR.dt_max):
            raise SpecError(f"form={self.form} has no decay: leave dt_min and dt_max alone.")

    def build(self, *, width: int, length: int, causal: bool) -> "DLRLayer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        return DLRLayer(self, width, causal=causal)


@final
class DLRLayer(DiagonalLayer):
    """The mixer of DLR."""

    def __init__(self, recipe: DLR, width: int, *, causal: bool) -> None:
        super().__init__(width, recipe.state, causal=causal)
        self.parts = PARTS[recipe.kernel]
        self.plain = {"prod": 0, "real-prod": width // 2}.get(recipe.kernel, width)
        """Channels whose kernel is no product."""
        shape: tuple[int, ...] = width, self.directions, self.modes
        self.r = self.theta = None
        if recipe.form in {"complex", "decay-real"}:
            dt = log_uniform(recipe.dt_min, recipe.dt_max, self.modes).exp()
            # The square root parameterisation: Re lambda = -r^2, theta the roots of unity.
            self.r = nn.Parameter((dt / 2).sqrt())
        if recipe.form != "decay-real":
            turn = torch.arange(self.modes) * (2 * math.pi / self.modes)
            self.theta = nn.Parameter(turn if recipe.init == "omega" else torch.randn(self.modes))
        if recipe.form in {"complex", "phase"}:
            shape = *shape, 2
        self.W = nn.Parameter(torch.randn(shape) / self.modes)

    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "1 n"]]:
        """Return the weights, once a part that the kernel needs, and exp(lambda)."""
        none = self.D.new_zeros((), dtype=torch.float64).expand(self.modes)
        decay = none if self.r is None else self.r.double().square().neg()
        phase = none if self.theta is None else self.theta.double()
        real = self.W.ndim == 3
        W = as_complex(F.pad(self.W[..., None], (0, 1)) if real else self.W)
        if self.parts != (1,):
            W = torch.stack([W * part for part in self.parts], 2).flatten(1, 2)
        return W, torch.complex(decay, phase).exp()[None]

    def kernel(self, length: int) -> Float[Tensor, "d k l"]:
        """Multiply the two parts where the kernel is a product."""
        taps = super().kernel(length)
        if not self.obstacle():
            return taps
        real, imag = taps[:, ::2], taps[:, 1::2]
        return torch.cat([real[: self.plain], (real * imag)[self.plain :]])

    def obstacle(self) -> str:
        """Say that a product of two kernels is no short recurrence."""
        if len(self.parts) == 1:
            return ""
        return (
            "A product of two kernels has as many poles as pairs of modes, so it has no step mode; "
            "use kernel=real, imag or sum."
        )
