"""S4: every channel runs a state space model whose matrix is diagonal plus low rank.

Gu, Goel, Ré 2022, "Efficiently Modeling Long Sequences with Structured State Spaces", with the
initialisations of Gu et al. 2023, "How to Train Your HiPPO", and A = Lambda - P P* as in
state-spaces/s4 since v2. x' = A x + B u, y = 2 Re(C x) + D u, discretised by the bilinear rule. A
layer that is not causal has a second C that reads the reversed sequence from the next position on.

The code trains C (I - Abar^L), which a forward pass of another length has to rewrite. Here C itself
is trained: the kernel is made from it directly, so no forward pass changes a parameter.

Axes: d channels, k directions, n modes, r rank of P.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from baselines.ops import dplr, hippo
from baselines.ops.dplr_blocks import Mode
from baselines.ops.dplr_layer import DPLRLayer
from baselines.ops.draws import log_uniform
from harness.api import Model, ParameterGroup, SpecError

BASES: dict[str, tuple[hippo.Basis, ...]] = {
    **{basis: (basis,) for basis in get_args(hippo.Basis)},
    "legs-fout": ("legs", "fout"),
}


@final
@dataclass(frozen=True, kw_only=True)
class S4(Model):
    """Diagonal-plus-low-rank state space model."""

    state: int = 64
    """N, states of a channel; even, since N/2 conjugate pairs are stored."""
    init: Literal["legs", "legt", "fout", "legs-fout", "lagt"] = "legs"
    """HiPPO basis at the start; every other set has the second one's; legt has rank two."""
    n_ssm: int = 0
    """Sets of (A, B, P), given to the channels in turn; 0 for a set a channel."""
    mode: Mode = "dense"
    """Form of steps: a matrix a channel for blocks of them, low rank apart, or a basis of
    eigenvectors."""
    dt_min: float = 1e-3
    """Smallest initial step size; its range should hold 1 / length."""
    dt_max: float = 1e-1
    """Largest initial step size."""
    ssm_lr: float = 1e-3
    """Learning rate of A, B and P; 0 leaves them as they begin."""
    dt_lr: float = 1e-3
    """Learning rate of the step sizes; 0 leaves them as drawn."""

    lr: ClassVar[float] = 0.01
    reference: ClassVar[str] = "gu2022s4, gu2023httyh"

    def __post_init__(self) -> None:
        if self.state < 2 or self.state % 2:
            raise SpecError(f"state must be even and positive, not {self.state}.")
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")
        if self.n_ssm < 0 or (self.init == "legs-fout" and self.n_ssm % 2):
            raise SpecError(
                f"n_ssm must be 0 or positive, and even with init=legs-fout, not {self.n_ssm}."
            )
        if min(self.ssm_lr, self.dt_lr) < 0:
            raise SpecError("ssm_lr and dt_lr must not be negative.")

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Set the continuous system apart, without decay; C and D train like the rest."""
        slow, steps = ParameterGroup(lr=self.ssm_lr), ParameterGroup(lr=self.dt_lr)
        apart = dict.fromkeys(("A_re", "A_im", "P", "B"), slow)
        return {**apart, "log_dt": steps, "D": ParameterGroup(weight_decay=None)}

    def build(self, *, width: int, length: int, causal: bool) -> "S4Layer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        if self.n_ssm and width % self.n_ssm:
            raise SpecError(f"n_ssm must divide the width {width}, and {self.n_ssm} does not.")
        return S4Layer(self, width, causal=causal)


@final
class S4Layer(DPLRLayer):
    """The mixer of S4."""

    def __init__(self, recipe: S4, width: int, *, causal: bool) -> None:
        super().__init__(width, recipe.state // 2, recipe.mode, causal=causal)
        sets = recipe.n_ssm or width
        bases = [hippo.diagonal(basis, recipe.state) for basis in BASES[recipe.init]]
        pole, B, P = (
            torch.stack([parts[i % len(parts)] for i in range(sets)])
            for parts in zip(*bases, strict=True)
        )
        # FouT, LegT and LagT start without decay; the code keeps poles this far from the axis.
        self.A_re = parameter(pole.real.neg().clamp(min=1e-4).log())
        self.A_im = parameter(pole.imag)
        self.P = parameter(torch.view_as_real(P))
        self.B = parameter(torch.stack([B, 0 * B], -1))
        self.log_dt = nn.Parameter(log_uniform(recipe.dt_min, recipe.dt_max, width))

    def system(self) -> dplr.Discrete:
        """Return every channel's discrete system, in double precision."""
        pole = torch.complex(-self.A_re.double().exp(), self.A_im.double())
        P, B = (torch.view_as_complex(part.double()) for part in (self.P, self.B))
        repeats = len(self.log_dt) // len(pole)
        sets = dplr.Continuous(
            pole.repeat(repeats, 1), P.repeat(repeats, 1, 1), B.repeat(repeats, 1)
        )
        return dplr.discretise(sets, self.rate * self.log_dt.double().exp()[:, None])


def parameter(values: Float64[Tensor, "*any"]) -> nn.Parameter:
    """Return a parameter of the present default type."""
    return nn.Parameter(values.to(torch.get_default_dtype()))
