"""S4: every channel runs a state space model whose matrix is diagonal plus low rank.

Gu, Goel, Ré 2022, "Efficiently Modeling Long Sequences with Structured State Spaces", with the
initialisations of Gu et al. 2023, "How to Train Your HiPPO", and A = Lambda - P P* as in
state-spaces/s4 since v2. x' = A x + B u, y = 2 Re(C x) + D u, discretised by the bilinear rule. A
layer that is not causal has a second C that reads the reversed sequence from the next position on.

The code trains C (I - Abar^L), which a forward pass of another length has to rewrite. Here C itself
is trained: the kernel is made from it directly, so no forward pass changes a parameter.

Axes: b batch, l length, d channels, k directions of time, n modes, s = 2n real states, r rank of P.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, cast, final, get_args

import torch
from jaxtyping import Complex, Float, Float64, Int
from torch import Tensor, nn

from baselines.ops.convolution.fft_convolution import fft_convolve
from baselines.ops.ssm import dplr, hippo, krylov
from baselines.ops.ssm.discretisation import log_uniform
from baselines.ops.ssm.dplr_steps import FORMS, DPLRSteps, Mode
from harness.api import (
    Mixer,
    Model,
    ParameterGroup,
    SpecError,
    State,
    own_tensors,
    tensor_versions,
)

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
    b_clip: float = 0.0
    """Bound of the imaginary part of B at the start; 2 in the code since v4.0.0, 0 for none."""

    version: ClassVar[int] = 2
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
        if min(self.ssm_lr, self.dt_lr, self.b_clip) < 0:
            raise SpecError("ssm_lr, dt_lr and b_clip must not be negative.")
        if self.b_clip and self.init == "fout":
            raise SpecError("b_clip is not for init=fout, whose B is real; leave it out.")

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Set the continuous system apart, without decay; C and D train like the rest."""
        slow, steps = ParameterGroup(lr=self.ssm_lr), ParameterGroup(lr=self.dt_lr)
        groups = dict.fromkeys(("A_re", "A_im", "P", "B"), slow)
        return {**groups, "log_dt": steps, "D": ParameterGroup(weight_decay=None)}

    def build(self, *, width: int, length: int, causal: bool) -> "S4Layer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        if self.n_ssm and width % self.n_ssm:
            raise SpecError(f"n_ssm must divide the width {width}, and {self.n_ssm} does not.")
        return S4Layer(self, width, causal=causal)


@final
class S4Layer(Mixer):
    """The mixer of S4: a long convolution, or a recurrence in steps."""

    def __init__(self, recipe: S4, width: int, *, causal: bool) -> None:
        super().__init__()
        self.causal, self.mode, self.rate = causal, recipe.mode, 1.0
        shape = width, 1 if causal else 2, recipe.state // 2, 2
        self.C = nn.Parameter(torch.randn(shape) * 0.5**0.5)
        self.D = nn.Parameter(torch.randn(width))
        self._cached: tuple[object, DPLRSteps | None] = None, None
        sets = recipe.n_ssm or width
        bases = [hippo.diagonal(basis, recipe.state, recipe.b_clip) for basis in BASES[recipe.init]]
        pole, B, P = (
            torch.stack([parts[i % len(parts)].to(torch.complex128) for i in range(sets)])
            for parts in zip(*bases, strict=True)
        )
        # FouT, LegT and LagT start without decay; the code keeps poles this far from the axis.
        self.A_re = parameter(pole.real.neg().clamp(min=1e-4).log())
        self.A_im = parameter(pole.imag)
        self.P = parameter(torch.view_as_real(P))
        self.B = parameter(torch.view_as_real(B))
        self.log_dt = nn.Parameter(log_uniform(recipe.dt_min, recipe.dt_max, width))

    def continuous(self) -> tuple[dplr.Continuous, Float64[Tensor, "d 1"]]:
        """Return every channel's system and step size, in double precision."""
        pole = torch.complex(-self.A_re.double().exp(), self.A_im.double())
        P, B = (torch.view_as_complex(part.double()) for part in (self.P, self.B))
        repeats = len(self.log_dt) // len(pole)
        sets = dplr.Continuous(
            *(part.expand(repeats, *part.shape).flatten(0, 1) for part in (pole, P, B))
        )
        return sets, self.rate * self.log_dt.double().exp()[:, None]

    def system(self) -> dplr.Discrete:
        """Return every channel's discrete system, in double precision."""
        return dplr.bilinear(*self.continuous())

    def kernel(self, length: int) -> Float[Tensor, "d k l"]:
        """Return the taps of each direction, without the skip connection D."""
        # A kernel must not follow an activation into half precision: it is made of parameters.
        with torch.autocast(self.D.device.type, enabled=False):
            system, dt = self.continuous()
            return dplr.kernel(system, self._C(), dt, length)

    def forward(
        self,
        u: Float[Tensor, "b l d"],
        lengths: Int[Tensor, " b"] | None = None,  # noqa: ARG002 - the contract clears padding
    ) -> Float[Tensor, "b l d"]:
        """Convolve with what each direction sees."""
        return fft_convolve(u, self.kernel(u.shape[1]), self.D)

    def initial_state(self, batch: int) -> State:
        """Return zeros.

        Raises:
            UnsupportedError: The system has no eigenvectors for mode=diagonal.
        """
        vector = self._C().real.new_zeros(batch, len(self.D), 2 * self.C.shape[2])
        return self._steps().from_vector(vector)

    def step(self, u: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b d"], State]:
        """Advance the recurrence by one position."""
        return self._steps().step(u, state)

    def advance(
        self, u: Float[Tensor, "b l d"], state: State
    ) -> tuple[Float[Tensor, "b l d"], State]:
        """Continue from a state by matrix products over chunks."""
        steps, reading = self._steps(), dplr.reading(self._C()[:, 0])
        with torch.autocast(u.device.type, enabled=False):
            system = dplr.dense(self.system())
            y, vector = krylov.advance(*system, reading, u, steps.to_vector(state))
        return torch.addcmul(y, self.D, u).to(u.dtype), steps.from_vector(vector)

    def resample(self, rate: float) -> None:
        """Take steps so many times longer than those of the training."""
        self.rate = rate

    def path(self) -> str:
        """Name the form of the kernel and of the convolution."""
        return f"{dplr.form_of(self._C()).name}+fft"

    def _C(self) -> Complex[Tensor, "d k n"]:  # noqa: N802 - the paper's name
        """Return C in the working precision, single at least."""
        working = torch.promote_types(self.C.dtype, torch.float32)
        return torch.view_as_complex(self.C.to(working))

    def _steps(self) -> DPLRSteps:
        """Return the form of steps, made again only when a parameter or the rate has changed."""
        present = self.rate, tensor_versions(own_tensors(self))
        cached = self._cached  # which another thread may replace at any time
        if cached[0] != present:
            with torch.no_grad(), torch.autocast(self.D.device.type, enabled=False):
                cached = self._cached = (
                    present,
                    FORMS[self.mode](self.system(), self._C()[:, 0], self.D),
                )
        return cast("DPLRSteps", cached[1])


def parameter(values: Float64[Tensor, "*any"]) -> nn.Parameter:
    """Return a parameter of the present default type."""
    return nn.Parameter(values.to(torch.get_default_dtype()))
