"""B2S6: Mamba's selective system in blocks of channels, with a bias of each channel's own on B.

Yu and Erichson 2025, "Block-Biased Mamba for Long-Range Sequence Processing": each block selects
its own B, C and step size from its own channels; the bias keeps a part of every channel's system
that no input moves; A and B are complex; what selects the step sizes learns slowly. A layer is that
system alone, as `s4d` is; a bidirectional one adds the same scan over the reversal.

Axes: b batch, l length, d channels, j blocks, n states.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.scans.block_selective_scan import (
    Drives,
    Fixed,
    block_selective_scan,
    block_selective_step,
)
from baselines.ops.ssm.complex_parameters import as_complex, complex_type
from baselines.ops.ssm.discretisation import inverse_softplus, log_uniform
from harness.api import Mixer, Model, ParameterGroup, SpecError


@final
@dataclass(frozen=True, kw_only=True)
class B2S6(Model):
    """Selective state space in blocks."""

    blocks: int = 8
    """Blocks, which share out the width."""
    state: int = 16
    """N, complex states of a channel, one of each conjugate pair."""
    dt_lr: float = 1e-4
    """The learning rate of what selects the step sizes."""
    dt_min: float = 1e-3
    """Smallest initial step size."""
    dt_max: float = 1e-1
    """Largest initial step size."""

    reference: ClassVar[str] = "yu2025b2s6, gu2023mamba"

    def __post_init__(self) -> None:
        if min(self.blocks, self.state) < 1:
            raise SpecError(
                f"blocks and state must be positive, not {self.blocks} and {self.state}."
            )
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")
        if not self.dt_lr > 0:
            raise SpecError(f"dt_lr must be above zero, not {self.dt_lr}.")

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Let step sizes learn slowly, and keep the system from decaying."""
        slow = dict.fromkeys(("dt_proj", "dt_bias"), ParameterGroup(lr=self.dt_lr))
        return slow | dict.fromkeys(("A_log", "A_im", "B_bias", "D"), ParameterGroup())

    def build(self, *, width: int, length: int, causal: bool) -> "B2S6Layer":  # noqa: ARG002
        """Build the layer; it needs no length.

        Raises:
            SpecError: The width does not divide into the blocks.
        """
        if width % self.blocks:
            raise SpecError(
                f"A width of {width} does not divide into {self.blocks} blocks; choose another "
                f"number of blocks."
            )
        return B2S6Layer(self, width, causal=causal)


@final
class B2S6Layer(Mixer):
    """The mixer of B2S6."""

    def __init__(self, recipe: B2S6, width: int, *, causal: bool) -> None:
        super().__init__()
        blocks, states, size = recipe.blocks, recipe.state, width // recipe.blocks
        self.causal = causal
        self.A_log = nn.Parameter(torch.full((width, states), 0.5).log())
        self.A_im = nn.Parameter(math.pi * torch.arange(float(states)).repeat(width, 1))
        # Real and imaginary parts on the last axis.
        spread = 1 / math.sqrt(2 * size)
        self.B_proj, self.C_proj = (
            nn.Parameter(spread * torch.randn(blocks, size, 2 * states)) for _ in range(2)
        )
        self.B_bias = nn.Parameter(torch.tensor([1.0, 0.0]).repeat(width, states, 1))
        self.dt_proj = nn.Parameter(torch.empty(blocks, size, 1).uniform_(-1, 1) / math.sqrt(size))
        dt = log_uniform(recipe.dt_min, recipe.dt_max, width).exp()
        self.dt_bias = nn.Parameter(inverse_softplus(dt))
        self.D = nn.Parameter(torch.randn(width))

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Scan once, or once from each end of the valid positions."""
        y, _ = self._scanned(u, self._zeros(len(u)))
        if not self.causal:
            again, _ = self._scanned(reverse_valid(u, lengths), self._zeros(len(u)))
            y = y + reverse_valid(again, lengths)
        return torch.addcmul(y.to(u.dtype), self.D.to(u.dtype), u)

    def initial_state(self, batch: int) -> Complex[Tensor, "b d n"]:
        """Return zeros."""
        return self._zeros(batch)

    def advance(
        self, u: Float[Tensor, "b l d"], state: Complex[Tensor, "b d n"]
    ) -> tuple[Float[Tensor, "b l d"], Complex[Tensor, "b d n"]]:
        """Continue over a piece of a sequence, chunk by chunk."""
        y, state = self._scanned(u, state)
        return torch.addcmul(y.to(u.dtype), self.D.to(u.dtype), u), state

    def step(
        self, u: Float[Tensor, "b d"], state: Complex[Tensor, "b d n"]
    ) -> tuple[Float[Tensor, "b d"], Complex[Tensor, "b d n"]]:
        """Advance one position."""
        x = u.to(self._working)
        y, state = block_selective_step(x, self._drives(x), self._fixed(), state)
        return torch.addcmul(y, self.D.to(x), x).to(u.dtype), state

    def _scanned(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x = u.to(self._working)
        return block_selective_scan(x, self._drives(x), self._fixed(), state)

    def _drives(self, x: Tensor) -> Drives:
        """Return step sizes, B and C, each selected by a block's own channels."""
        # What makes decays must not follow an activation into half precision.
        with torch.autocast(x.device.type, enabled=False):
            blocks = x.unflatten(-1, (len(self.dt_proj), -1))
            # Not a broadcast product, which would copy the matrices for every position.
            logit, B, C = (
                torch.einsum("...jp,jpn->...jn", blocks, matrix.to(x))
                for matrix in (self.dt_proj, self.B_proj, self.C_proj)
            )
            spread = logit + self.dt_bias.unflatten(0, (len(self.dt_proj), -1))
            dt = F.softplus(spread, threshold=40).flatten(-2)
            B, C = (torch.view_as_complex(part.unflatten(-1, (-1, 2))) for part in (B, C))
        return Drives(dt, B, C)

    def _fixed(self) -> Fixed:
        decay, turn = -self.A_log.to(self._working).exp(), self.A_im.to(self._working)
        return Fixed(torch.complex(decay, turn), as_complex(self.B_bias))

    def _zeros(self, batch: int) -> Tensor:
        return as_complex(self.B_bias.new_zeros(batch, *self.B_bias.shape))

    @property
    def _working(self) -> torch.dtype:
        """Return the type of the scan's numbers, single at least: complex ones have no half."""
        return complex_type(self.D).to_real()
