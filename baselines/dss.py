"""DSS: diagonal state spaces, whose poles all channels share and each channel scales by its step.

Gupta, Gu, Berant 2022, "Diagonal State Spaces are as Effective as Structured State Spaces". With
z = exp(dt lambda), `exp`: K_l = Re sum_n w (z - 1) / lambda z^l, Re lambda < 0 by an exponential.
`softmax`: lambda is free and the powers z^l are divided by their sum over the length L that the
layer is built for, K_l = Re sum_n w / lambda softmax_l(dt lambda l). Modes that decay go on beyond
L; modes that grow have L taps, and no step mode. Not causal: a second W reads the future from the
next position on, and the two are summed. One step size serves both parts of lambda.

Axes: d channels, k directions, n modes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Complex, Complex128, Float, Float64
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import on_gpu
from baselines.ops.layers.diagonal_layer import DiagonalLayer
from baselines.ops.ssm import diagonal
from baselines.ops.ssm.complex_parameters import as_complex, scaled
from baselines.ops.ssm.discretisation import log_uniform
from baselines.ops.ssm.hippo import legs
from baselines.ops.ssm.softmax_scales import SMALL, softmax_scales
from harness.api import Model, ParameterGroup, SpecError


@final
@dataclass(frozen=True, kw_only=True)
class DSS(Model):
    """Diagonal state space."""

    state: int = 64
    """N, modes; none is the conjugate of another."""
    form: Literal["softmax", "exp"] = "softmax"
    """Divide the powers of a pole by their sum, or keep poles decaying."""
    init: Literal["hippo", "lin", "randn"] = "hippo"
    """Initial frequencies: the N positive ones of HiPPO-LegS with 2N states, pi n, or normal."""
    dt_min: float = 1e-3
    """Smallest initial step size."""
    dt_max: float = 1e-1
    """Largest initial step size."""
    ssm_lr: float = 1e-3
    """Learning rate of A and W; 0 leaves them as they begin."""
    dt_lr: float = 1e-3
    """Learning rate of the step sizes; 0 leaves them as drawn."""

    lr: ClassVar[float] = 0.01
    reference: ClassVar[str] = "gupta2022dss"

    def __post_init__(self) -> None:
        if self.state < 1:
            raise SpecError(f"state must be positive, not {self.state}.")
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")
        if min(self.ssm_lr, self.dt_lr) < 0:
            raise SpecError("ssm_lr and dt_lr must not be negative.")

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Set the system apart, without decay; D trains like the rest."""
        slow, steps = ParameterGroup(lr=self.ssm_lr), ParameterGroup(lr=self.dt_lr)
        slow_groups = {"A_re": slow, "A_im": slow, "W": slow, "log_dt": steps}
        return {**slow_groups, "D": ParameterGroup(weight_decay=None)}

    def build(self, *, width: int, length: int, causal: bool) -> "DSSLayer":
        """Build the layer; softmax divides by the sum over this length."""
        return DSSLayer(self, width, length, causal=causal)


@final
class DSSLayer(DiagonalLayer):
    """The mixer of DSS."""

    def __init__(self, recipe: DSS, width: int, length: int, *, causal: bool) -> None:
        super().__init__(width, recipe.state, causal=causal)
        self.form, self.length = recipe.form, length
        self.span = length
        """Taps that the softmax divides by, at the rate of the inputs."""
        frequency = initial_frequencies(recipe.init, self.modes).to(self.D.dtype)
        decay = torch.full_like(frequency, -0.5)
        self.A_re = nn.Parameter(decay.neg().log() if self.form == "exp" else decay)
        self.A_im = nn.Parameter(frequency)
        self.W = nn.Parameter(torch.randn(width, self.directions, self.modes, 2))
        self.log_dt = nn.Parameter(log_uniform(recipe.dt_min, recipe.dt_max, width))

    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "d n"]]:
        """Return weights and poles; a growing mode's are those of its taps from last to first."""
        if self.form == "softmax":
            scales, pole = self.scales()
            return scaled(as_complex(self.W), scales.sum(1)[:, None]), pole
        A = torch.complex(-self.A_re.double().exp(), self.A_im.double())
        turn = self.steps() * A
        scale = torch.expm1(turn) * A.conj() / A.abs().square().clamp(min=SMALL)
        return scaled(as_complex(self.W), scale[:, None]), turn.exp()

    def scales(self) -> tuple[Complex128[Tensor, "d 2 n"], Complex128[Tensor, "d n"]]:
        """Return factors on the weights of modes that decay and of those that grow, and poles."""
        return softmax_scales(self.A_re, self.A_im, self.steps(), self.span)

    def steps(self) -> Float64[Tensor, "d 1"]:
        """Return the step size of each channel."""
        dt = self.log_dt.double().exp()[:, None]
        return dt if self.rate == 1 else self.rate * dt

    def growing(self) -> Tensor:
        """Say which modes grow, (n,); with exp none does."""
        return (self.A_re > 0) & (self.form == "softmax")

    def kernel(self, length: int) -> Float[Tensor, "d k l"]:
        """Read the taps of growing modes backwards, from the length built for.

        Whether a mode grows is not asked on a GPU, since the answer would wait for all before it.
        """
        if self.form == "exp" or (not on_gpu(self.D) and not self.obstacle()):
            return super().kernel(length)
        scales, pole = self.scales()
        # Weights of all directions for decaying modes, then of all for growing ones.
        weight = scaled(as_complex(self.W)[:, None], scales[:, :, None]).flatten(1, 2)
        taps = diagonal.kernel(weight, pole, max(length, self.span))
        decaying, backwards = taps.chunk(2, 1)
        backwards = backwards[..., : self.span].flip(-1)
        if length != self.span:
            backwards = F.pad(backwards, (0, length - self.span))
        return decaying[..., :length] + backwards

    def obstacle(self) -> str:
        """Say that a mode grows."""
        if self.form == "exp" or not self.growing().any():
            return ""
        return "A mode of DSS grows with time here, so it has no step mode; use form=exp."

    def resample(self, rate: float) -> None:
        """Take steps so many times longer, and so many times fewer."""
        self.rate, self.span = rate, max(1, round(self.length / rate))


def initial_frequencies(init: Literal["hippo", "lin", "randn"], modes: int) -> Float[Tensor, " n"]:
    """Return the imaginary parts of lambda, whose real parts begin at -1/2."""
    if init == "hippo":
        return legs(2 * modes)[0].imag
    return math.pi * torch.arange(modes) if init == "lin" else torch.randn(modes)
