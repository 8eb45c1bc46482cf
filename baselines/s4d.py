"""S4D: every channel runs its own diagonal state space model, discretised from continuous time.

Gu, Gupta, Goel, Ré 2022, "On the Parameterization and Initialization of Diagonal State Space
Models". x' = A x + B u, y = 2 Re(C x) + D u with N/2 conjugate pairs kept once. Not causal: a
second C reads the future from the next position on, and the two are summed, as in state-spaces/s4.
`init=dfout` puts the poles on a circle in discrete time, with no step size: Solozabal et al. 2025,
"Uncovering the Spectral Bias in Diagonal State Space Models", section 4.2; its equations are
reconstructed here from its prose, which does not say how the input is scaled: here as by a
zero-order hold whose step is the damping, so that only frequencies are free of it.

Axes: d channels, k directions, n modes, s independent sets of poles.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Complex, Complex128, Float64
from torch import Tensor, nn

from baselines.ops.layers.diagonal_layer import DiagonalLayer
from baselines.ops.ssm.complex_parameters import as_complex, scaled
from baselines.ops.ssm.discretisation import Disc, discretise, log_uniform
from baselines.ops.ssm.hippo import legs
from harness.api import Model, ParameterGroup, SpecError

Init = Literal["legs", "inv", "lin", "real", "fout", "inv2", "quad", "random"]


@final
@dataclass(frozen=True, kw_only=True)
class S4D(Model):
    """Diagonal state space model."""

    state: int = 64
    """N, states of a channel; even, since N/2 conjugate pairs are stored (dfout: N/2 + 1)."""
    init: Literal["legs", "inv", "lin", "real", "fout", "inv2", "quad", "random", "dfout"] = "legs"
    """Initial poles: of HiPPO-LegS, closed forms, without oscillation, or on a circle."""
    disc: Disc = "zoh"
    """Discretisation: zero-order hold, or bilinear."""
    real: Literal["exp", "relu", "none"] = "exp"
    """What keeps the real part of A negative; with none it may cross zero."""
    dt_min: float = 1e-3
    """Smallest initial step size; its range should hold 1 / length. Of dfout, the damping."""
    dt_max: float = 1e-1
    """Largest initial step size, or damping."""
    n_ssm: int = 0
    """Independent sets of A and B, dealt out to the channels in turn; 0 for one a channel."""
    bandlimit: float = 0.0
    """Silence modes at or above this share of the Nyquist frequency; 0 for none."""
    ssm_lr: float = 1e-3
    """Learning rate of A and B; 0 leaves them as they begin."""
    dt_lr: float = 1e-3
    """Learning rate of the step sizes (of dfout, the damping); 0 leaves them as drawn."""
    b_clip: float = 0.0
    """With init=legs, bound of the imaginary part of B at the start; 2 in the code since v4.0.0, 0
    for none."""

    lr: ClassVar[float] = 0.01
    reference: ClassVar[str] = "gu2022s4d, solozabal2025dfout"

    def __post_init__(self) -> None:
        if self.state < 2 or self.state % 2:
            raise SpecError(f"state must be even and positive, not {self.state}.")
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")
        if min(self.n_ssm, self.bandlimit, self.ssm_lr, self.dt_lr, self.b_clip) < 0:
            raise SpecError("n_ssm, bandlimit, ssm_lr, dt_lr and b_clip must not be negative.")
        if self.b_clip and self.init != "legs":
            raise SpecError(
                f"b_clip is for init=legs, whose B is complex; leave it out with init={self.init}."
            )
        continuous = self.disc, self.real, self.n_ssm
        if self.init == "dfout" and continuous != ("zoh", "exp", 0):
            raise SpecError("init=dfout has discrete poles: leave disc, real and n_ssm alone.")

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Set the continuous system's rates apart, without decay; C and D train like the rest."""
        slow, steps = ParameterGroup(lr=self.ssm_lr), ParameterGroup(lr=self.dt_lr)
        slow_groups = {"A_re": slow, "A_im": slow, "B": slow, "log_dt": steps}
        return {**slow_groups, "D": ParameterGroup(weight_decay=None)}

    def build(self, *, width: int, length: int, causal: bool) -> "S4DLayer":  # noqa: ARG002
        """Build the layer; it needs no length.

        Raises:
            SpecError: The width is no multiple of n_ssm.
        """
        if self.n_ssm and width % self.n_ssm:
            raise SpecError(f"width must be a multiple of n_ssm={self.n_ssm}, not {width}.")
        return S4DLayer(self, width, causal=causal)


@final
class S4DLayer(DiagonalLayer):
    """The mixer of S4D. With dfout log_dt is log(xi), A_im the phases of a step, and A_re -1/2."""

    def __init__(self, recipe: S4D, width: int, *, causal: bool) -> None:
        super().__init__(width, recipe.state // 2 + (recipe.init == "dfout"), causal=causal)
        self.recipe = recipe
        dtype, trained = self.D.dtype, recipe.ssm_lr > 0
        if recipe.init == "dfout":
            A_im = circle(recipe.state, width)
            B = torch.ones_like(A_im)
        else:
            A, B = pole_sets(recipe.init, recipe.state, recipe.n_ssm or width, recipe.b_clip)
            A_re, A_im = A.real.neg(), A.imag
            A_re = A_re.clamp(min=1e-4).log() if recipe.real == "exp" else A_re
            self.A_re = nn.Parameter(A_re.to(dtype), trained)
        self.A_im = nn.Parameter(A_im.to(dtype), trained)
        self.B = nn.Parameter(torch.view_as_real(B.to(torch.complex128)).to(dtype), trained)
        self.C = nn.Parameter(torch.randn(width, self.directions, self.modes, 2) * math.sqrt(0.5))
        log_dt = log_uniform(recipe.dt_min, recipe.dt_max, width)
        self.log_dt = nn.Parameter(log_dt, recipe.dt_lr > 0)

    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "d n"]]:
        """Discretise: weight = 2 C Bbar, pole = Abar."""
        B, C = as_complex(self.B), as_complex(self.C)
        dt, frequency = self.log_dt.double().exp()[:, None], self.A_im.double()
        if self.recipe.init == "dfout":
            frequency = frequency / dt
        A = torch.complex(-self.decay(), frequency)
        if len(dt) > len(A):
            A, B = (x.repeat(len(dt) // len(x), 1) for x in (A, B))
        pole, gain = discretise(A, dt if self.rate == 1 else self.rate * dt, self.recipe.disc)
        drive = scaled(gain, B)
        if self.recipe.bandlimit:
            # By the steps of the training: what it silenced has learned nothing.
            aliased = (dt * A.imag).abs() >= math.pi * self.recipe.bandlimit
            drive = drive.masked_fill(aliased, 0)
        return scaled(2 * C, drive[:, None]), pole

    def decay(self) -> Tensor:
        """Return minus the real part of A, in float64."""
        if self.recipe.init == "dfout":
            return torch.full_like(self.A_im, 0.5, dtype=torch.float64)
        raw = self.A_re.double()
        if self.recipe.real == "exp":
            return raw.exp()
        return raw.relu() + 1e-4 if self.recipe.real == "relu" else raw

    def resample(self, rate: float) -> None:
        """Take steps so many times longer."""
        self.rate = rate


def pole_sets(
    init: Init, states: int, sets: int, b_clip: float = 0.0
) -> tuple[Complex128[Tensor, "s n"], Float64[Tensor, "s n"] | Complex128[Tensor, "s n"]]:
    """Return A and B of independent systems, which differ in what is drawn only."""
    different = sets if init == "random" else 1
    A, B = (
        torch.stack(part)
        for part in zip(
            *(initial_poles(init, states, b_clip) for _ in range(different)), strict=True
        )
    )
    return A.repeat(sets // different, 1), B.repeat(sets // different, 1)


def initial_poles(
    init: Init, states: int, b_clip: float = 0.0
) -> tuple[Complex128[Tensor, " n"], Float64[Tensor, " n"] | Complex128[Tensor, " n"]]:
    """Return A and B of N states, half of each conjugate pair; random frequencies are drawn.

    Sections 3 and 4 of the paper; the names that it does not use are of state-spaces/s4.

    Real parts are -1/2, those of `real` -(n + 1). Frequencies: `legs` the eigenvalues of
    HiPPO-LegS, `inv` their closed form N/pi (N/(2n+1) - 1), `inv2` N/pi (N/(n+1) - 1), `lin` pi n,
    `fout` 2 pi n, `quad` (1+2n)^2/pi, `random` exp(N(0, 1)), `real` none.
    """
    if init == "legs":
        return legs(states, b_clip)
    n = torch.arange(states // 2, dtype=torch.float64)
    frequency = {
        "inv": states / math.pi * (states / (2 * n + 1) - 1),
        "inv2": states / math.pi * (states / (n + 1) - 1),
        "lin": math.pi * n,
        "fout": 2 * math.pi * n,
        "quad": (1 + 2 * n).square() / math.pi,
        "real": torch.zeros_like(n),
    }
    chosen = torch.randn(len(n)).double().exp() if init == "random" else frequency[init]
    decay = -(n + 1) if init == "real" else torch.full_like(n, -0.5)
    return torch.complex(decay, chosen), torch.ones_like(n)


def circle(states: int, channels: int) -> Float64[Tensor, "d n"]:
    """Return the phases of poles that cover the upper half circle evenly, all channels together.

    2 pi n / N for n from 0 to N/2, shifted by 2 pi h / (N H) in channel h.
    """
    n = torch.arange(states // 2 + 1, dtype=torch.float64)
    shift = torch.arange(channels, dtype=torch.float64)[:, None] / channels
    return 2 * math.pi / states * (n + shift)
