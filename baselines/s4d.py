"""S4D: every channel runs its own diagonal state space model, discretised from continuous time.

Gu, Gupta, Goel, Ré 2022, "On the Parameterization and Initialization of Diagonal State Space
Models". x' = A x + B u, y = 2 Re(C x) + D u with N/2 conjugate pairs kept once.

Axes: d channels, k directions, n modes.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Complex, Complex128, Float64
from torch import Tensor, nn

from baselines.ops.diagonal_layer import DiagonalLayer
from baselines.ops.draws import log_uniform
from baselines.ops.hippo import legs
from harness.api import Group, Model, SpecError


@final
@dataclass(frozen=True, kw_only=True)
class S4D(Model):
    """Diagonal state space model."""

    state: int = 64
    """N, states of a channel; even, since N/2 conjugate pairs are stored."""
    init: Literal["legs", "inv", "lin", "real"] = "legs"
    """Initial poles: of HiPPO-LegS, their closed form, Fourier-like, or without oscillation."""
    disc: Literal["zoh", "bilinear"] = "zoh"
    """Discretisation: zero-order hold, or bilinear."""
    dt_min: float = 1e-3
    """Smallest initial step size; its range should hold 1 / length."""
    dt_max: float = 1e-1

    lr: ClassVar[float] = 0.01
    apart: ClassVar[dict[str, Group]] = dict.fromkeys(
        ("A_re", "A_im", "B", "log_dt"), Group(lr=1e-3)
    )
    reference: ClassVar[str] = "gu2022s4d"

    def __post_init__(self) -> None:
        if self.state < 2 or self.state % 2:
            raise SpecError(f"state must be even and positive, not {self.state}.")
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")

    def build(self, *, width: int, length: int, causal: bool) -> "S4DLayer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        return S4DLayer(self, width, causal=causal)


@final
class S4DLayer(DiagonalLayer):
    """The mixer of S4D."""

    def __init__(self, recipe: S4D, width: int, *, causal: bool) -> None:
        super().__init__(width, recipe.state // 2, causal=causal)
        self.disc = recipe.disc
        A, B = initial_poles(recipe.init, recipe.state)
        dtype = self.D.dtype
        self.A_re = nn.Parameter(A.real.neg().log().to(dtype).repeat(width, 1))
        self.A_im = nn.Parameter(A.imag.to(dtype).repeat(width, 1))
        self.B = nn.Parameter(torch.stack([B, 0 * B], -1).to(dtype).repeat(width, 1, 1))
        self.C = nn.Parameter(torch.randn(width, self.directions, self.modes, 2) * math.sqrt(0.5))
        self.log_dt = nn.Parameter(log_uniform(recipe.dt_min, recipe.dt_max, width))

    def system(self) -> tuple[Complex[Tensor, "d k n"], Complex128[Tensor, "d n"]]:
        """Discretise: weight = 2 C Bbar, pole = Abar."""
        A = torch.complex(-self.A_re.double().exp(), self.A_im.double())
        B = torch.view_as_complex(self.B.double())
        dt = self.log_dt.double().exp()[:, None]
        pole, drive = discretise(A, B, dt, self.disc)
        C = torch.view_as_complex(self.C)
        return 2 * C * drive.to(C.dtype)[:, None], pole


def discretise(
    A: Complex128[Tensor, "d n"],
    B: Complex128[Tensor, "d n"],
    dt: Float64[Tensor, "d 1"],
    disc: Literal["zoh", "bilinear"],
) -> tuple[Complex128[Tensor, "d n"], Complex128[Tensor, "d n"]]:
    """Return Abar and Bbar of a diagonal system for steps of size dt."""
    if disc == "zoh":
        pole = (dt * A).exp()
        return pole, B * (pole - 1) / A
    half = dt * A / 2
    return (1 + half) / (1 - half), dt * B / (1 - half)


def initial_poles(
    init: Literal["legs", "inv", "lin", "real"], states: int
) -> tuple[Complex128[Tensor, " n"], Float64[Tensor, " n"]]:
    """Return A and B of one channel; `real` is A_n = -(n + 1), as in state-spaces/s4."""
    if init == "legs":
        return legs(states)
    n = torch.arange(states // 2, dtype=torch.float64)
    decay, frequency = torch.full_like(n, -0.5), torch.zeros_like(n)
    if init == "inv":
        frequency = states / math.pi * (states / (2 * n + 1) - 1)
    elif init == "lin":
        frequency = math.pi * n
    else:
        decay = -(n + 1)
    return torch.complex(decay, frequency), torch.ones_like(n)
