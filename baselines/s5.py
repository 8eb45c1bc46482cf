"""S5: one state space model for all channels, run by a scan; the time between samples may vary.

Smith, Warrington, Linderman 2023, "Simplified State Space Layers for Sequence Modeling" (arXiv
2208.04933); initial values, discretisation and optimiser groups as in lindermanlab/S5.
x' = Lambda x + B u, y = 2 Re(C x) + D u, a step size a mode. A bidirectional layer reads, with a C
of twice the columns, the concatenated states of two scans, one of them over reversed time, which
share Lambda and B (the released code's `apply_ssm`).

The poles begin as HiPPO-N, the normal part of HiPPO-LegS (section 3 and appendix B). B and C are
drawn for real states and then brought into the basis of the eigenvectors. The code's normal
distributions are JAX's: the fan counts an array's last axis but one, times all axes before, and
tails are cut off at two standard deviations of the parent distribution.

Axes: b batch, l length, d channels, k directions, n modes (P / 2, or P without symmetry), s states.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, final

import torch
from jaxtyping import Complex, Complex128, Float, Int
from torch import Tensor, nn

from baselines.ops.layers.mimo_layer import MimoLayer, System
from baselines.ops.ssm.complex_parameters import as_complex, scaled
from baselines.ops.ssm.discretisation import Disc, discretise, log_uniform
from baselines.ops.ssm.hippo import eigenbasis
from baselines.ops.ssm.mimo import varying_mimo
from harness.api import Model, ParameterGroup, SpecError, Trunk, mask_padding

CInit = Literal["lecun_normal", "trunc_standard_normal", "complex_normal"]
Decay = Literal["standard", "BandCdecay", "BfastandCdecay", "noBCdecay"]

CUT = 0.87962566103423978
"""Standard deviation of a standard normal variable that is cut off at -2 and 2."""


@final
@dataclass(frozen=True, kw_only=True)
class S5(Model):
    """Simplified state space model."""

    state: int = 64
    """P, states of the layer; with conj_sym, half of them are stored."""
    blocks: int = 8
    """Copies of HiPPO-N, each of P / blocks states, that the poles start as."""
    conj_sym: bool = True
    """Keep one of each conjugate pair, and twice the real part."""
    c_init: CInit = "lecun_normal"
    """How C is drawn: small, with unit rows, or directly in the eigenbasis."""
    disc: Disc = "zoh"
    """Discretisation: zero-order hold, or bilinear."""
    clip_eigs: bool = False
    """Keep every pole's real part at -1e-4 or below."""
    dt_min: float = 1e-3
    """Smallest initial step size."""
    dt_max: float = 1e-1
    optimiser: Decay = "standard"
    """Which of B and C train slowly and which decay: the released code's four configurations."""
    ssm_lr: float = 1e-3
    """Learning rate of the state space parameters; the others have the recipe's."""
    dt_global: bool = False
    """Train the step sizes at the others' rate."""

    lr: ClassVar[float] = 4e-3
    trunk: ClassVar[Trunk] = Trunk(mix="half-glu", norm="batch")
    reference: ClassVar[str] = "smith2023s5"

    def __post_init__(self) -> None:
        if self.blocks < 1 or self.state < 1 or self.state % self.blocks:
            raise SpecError(f"state must be blocks times a size, not {self.state}, {self.blocks}.")
        if self.conj_sym and self.state // self.blocks % 2:
            size = self.state // self.blocks
            raise SpecError(f"With conj_sym blocks have an even size, not {size}.")
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")
        if self.ssm_lr <= 0:
            raise SpecError(f"ssm_lr must be positive, not {self.ssm_lr}.")

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Return the configuration's groups: slow without decay, or at the recipe's rate with."""
        slow, usual = ParameterGroup(lr=self.ssm_lr), ParameterGroup(weight_decay=None)
        slow_all = self.optimiser == "noBCdecay"
        B = {
            "BandCdecay": ParameterGroup(lr=self.ssm_lr, weight_decay=None),
            "BfastandCdecay": usual,
        }
        return {
            "Lambda_re": slow,
            "Lambda_im": slow,
            "log_step": usual if self.dt_global else slow,
            "B": B.get(self.optimiser, slow),
            "C": slow if slow_all else usual,
            "D": slow if slow_all else usual,
        }

    def build(self, *, width: int, length: int, causal: bool) -> "S5Layer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        return S5Layer(self, width, causal=causal)


@final
class S5Layer(MimoLayer):
    """The mixer of S5."""

    def __init__(self, recipe: S5, width: int, *, causal: bool) -> None:
        basis = block_basis(recipe.state, recipe.blocks, half=recipe.conj_sym)
        super().__init__(width, len(basis.pole), causal=causal)
        self.recipe, self.rate = recipe, 1.0
        self.Lambda_re = nn.Parameter(basis.pole.real.to(self.D.dtype))
        self.Lambda_im = nn.Parameter(basis.pole.imag.to(self.D.dtype))
        self.B = nn.Parameter(draw_input(basis, width))
        outputs = [draw_output(basis, width, recipe.c_init) for _ in range(self.directions)]
        self.C = nn.Parameter(torch.stack(outputs))
        self.log_step = nn.Parameter(log_uniform(recipe.dt_min, recipe.dt_max, self.modes))

    def system(self) -> System:
        """Discretise, each mode with its own step size."""
        pole, gain = self.discrete()
        B, C = self.matrices()
        return System(pole, scaled(B, gain[:, None]), C)

    def matrices(self) -> tuple[Complex[Tensor, "n d"], Complex[Tensor, "k d n"]]:
        """Return B in continuous time, and C, twice if conjugates are left out."""
        return as_complex(self.B), as_complex(self.C) * (2 if self.recipe.conj_sym else 1)

    def discrete(
        self, steps: Float[Tensor, "*bl n_or_1"] | None = None
    ) -> tuple[Complex128[Tensor, "*bl n"], Complex128[Tensor, "*bl n"]]:
        """Return the poles, and factors on B, for multiples of the modes' step sizes, or them."""
        decay = self.Lambda_re.double()
        decay = decay.clamp(max=-1e-4) if self.recipe.clip_eigs else decay
        pole = torch.complex(decay, self.Lambda_im.double())
        dt = self.log_step.double().exp()
        dt = dt if self.rate == 1 else self.rate * dt
        dt = dt if steps is None else dt * steps.double()
        return discretise(pole, dt, self.recipe.disc)

    def forward(
        self,
        u: Float[Tensor, "b l d"],
        lengths: Int[Tensor, " b"] | None = None,
        steps: Float[Tensor, "b l"] | None = None,
    ) -> Float[Tensor, "b l d"]:
        """Run the system over a sequence, in both directions if the layer sees the future.

        Args:
            u: Features.
            lengths: Valid positions of each sequence; None if all are.
            steps: How long each position lasts, in sampling intervals of the training; None for
                one. Either scan uses a position's own. For callers of the layer: no task has them.
        """
        if steps is None:
            return self.mix(u)
        pole, gain = self.discrete(mask_padding(steps[..., None], lengths))
        return varying_mimo(u, pole, gain, *self.matrices(), self.D)

    def resample(self, rate: float) -> None:
        """Let every step last so many sampling intervals of the training (`step_rescale`)."""
        self.rate, self._cached = rate, (None, ())


class Basis(NamedTuple):
    """Eigenvalues and eigenvectors of the block-diagonal state matrix."""

    pole: Complex128[Tensor, " n"]
    vectors: Complex128[Tensor, "s n"]


def block_basis(states: int, blocks: int, *, half: bool) -> Basis:
    """Diagonalise copies of HiPPO-N.

    Args:
        states: P, of all blocks together.
        blocks: How many copies.
        half: Keep the eigenvalues of negative imaginary part alone, one of each conjugate pair.
    """
    size = states // blocks
    count = size // 2 if half else size
    pole, vectors = (part[..., :count] for part in eigenbasis("legs", size))
    return Basis(pole.repeat(blocks), torch.block_diag(*[vectors] * blocks))


def draw_input(basis: Basis, width: int) -> Float[Tensor, "n d 2"]:
    """Draw B: real, of variance 1 / P, then in the eigenbasis."""
    real = cut_normal(len(basis.vectors), width, fan=len(basis.vectors))
    dtype = real.dtype.to_complex()
    return torch.view_as_real(basis.vectors.mH.to(dtype) @ real.to(dtype))


def draw_output(basis: Basis, width: int, init: CInit) -> Float[Tensor, "d n 2"]:
    """Draw C for one direction."""
    states, modes = basis.vectors.shape
    if init == "complex_normal":
        return torch.randn(width, modes, 2) * math.sqrt(0.5)
    fan = states * width if init == "lecun_normal" else states
    C = torch.view_as_complex(cut_normal(width, states, 2, fan=fan))
    return torch.view_as_real(C @ basis.vectors.to(C.dtype))


def cut_normal(*shape: int, fan: int) -> Float[Tensor, "..."]:
    """Draw from a normal distribution without tails, of variance 1 / fan."""
    std = 1 / (CUT * math.sqrt(fan))
    return nn.init.trunc_normal_(torch.empty(*shape), std=std, a=-2 * std, b=2 * std)
