"""Mamba-2: a selective state space whose heads decay by one number, run by matrix products.

Dao, Gu 2024, "Transformers are SSMs". H_t = exp(dt_t A) H_{t-1} + B_t (dt_t x_t)^T, y_t = H_t^T C_t
+ D x_t, with dt, B, C, x from the input. The paper is causal; a bidirectional layer runs the
same convolution and scan over the sequence and its reversal and adds both, as HGRN2 does.

Axes: b batch, l length, d width, h heads, p features of each, n state, c channels, m taps but one.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.forms import chosen, on_gpu
from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.ssd import RATED, rated_ssd, ssd_step
from baselines.ops.ssm.discretisation import inverse_softplus, log_uniform
from harness.api import Mixer, Model, SpecError, Trunk

TAPS, EPS = 4, 1e-5
Drives = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Mamba2State = tuple[Float[Tensor, "b h n p"], Float[Tensor, "b m c"]]


@final
@dataclass(frozen=True, kw_only=True)
class Mamba2(Model):
    """Selective state space with scalar decays."""

    state: int = 64
    """N, rows of a head's state."""
    expand: int = 2
    """Inner width as a multiple of the width."""
    head_dim: int = 64
    """Features of a head; a narrower layer has one head."""
    bc_groups: int = 1
    """Sets of B and C, each shared by as many heads."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none")
    reference: ClassVar[str] = "dao2024mamba2"

    def __post_init__(self) -> None:
        for option in ("state", "expand", "head_dim", "bc_groups"):
            if (value := getattr(self, option)) < 1:
                raise SpecError(f"{option} must be positive, not {value}.")

    def build(self, *, width: int, length: int, causal: bool) -> "Mamba2Layer":  # noqa: ARG002
        """Build the layer, if heads divide the inner width and groups the heads."""
        inner = self.expand * width
        features = min(self.head_dim, inner)
        if inner % features or inner // features % self.bc_groups:
            raise SpecError(
                f"An inner width of {inner} does not divide into {self.bc_groups} equal groups of "
                f"heads of {features} features; choose another head_dim, bc_groups or width."
            )
        return Mamba2Layer(self, width, inner // features, causal=causal)


@final
class Mamba2Layer(Mixer):
    """The mixer of Mamba-2, in the order of the authors' code: gate, x, B, C, dt."""

    def __init__(self, recipe: Mamba2, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.groups, self.causal = heads, recipe.bc_groups, causal
        inner, shared = recipe.expand * width, recipe.bc_groups * recipe.state
        self.matrix = (heads, recipe.state, inner // heads)
        self.parts, self.channels = [inner, inner + 2 * shared, heads], [inner, shared, shared]
        self.in_proj = nn.Linear(width, sum(self.parts), bias=False)
        self.conv_weight = nn.Parameter(torch.empty(self.parts[1], TAPS).uniform_(-0.5, 0.5))
        self.conv_bias = nn.Parameter(torch.empty(self.parts[1]).uniform_(-0.5, 0.5))
        dt = log_uniform(1e-3, 1e-1, heads).exp()
        self.dt_bias = nn.Parameter(inverse_softplus(dt))
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = nn.RMSNorm(inner, eps=EPS)
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Scan once, or once from each end of the valid positions."""
        z, xBC, dt = self._projected(u)
        y, _ = self._scanned(xBC, dt, self._memory(len(u)))
        if not self.causal:
            xBC, dt = reverse_valid(xBC, lengths), reverse_valid(dt, lengths)
            y = y + reverse_valid(self._scanned(xBC, dt, self._memory(len(u)))[0], lengths)
        return self._gated(y, z)

    def path(self) -> str:
        """Name the form of the scan."""
        return chosen(RATED, self.D, widest=max(self.matrix[1:])).name

    def initial_state(self, batch: int) -> Mamba2State:
        """Return zeros."""
        return self._zeros(batch)

    def advance(
        self, u: Float[Tensor, "b l d"], state: Mamba2State
    ) -> tuple[Float[Tensor, "b l d"], Mamba2State]:
        """Continue over a piece of a sequence, chunk by chunk."""
        z, xBC, dt = self._projected(u)
        memory, window = state
        y, memory = self._scanned(xBC, dt, memory, window)
        return self._gated(y, z), (memory, last_inputs(xBC, window))

    def step(
        self, u: Float[Tensor, "b d"], state: Mamba2State
    ) -> tuple[Float[Tensor, "b d"], Mamba2State]:
        """Advance one position."""
        memory, window = state
        z, xBC, dt = self.in_proj.forward(u).split(self.parts, -1)
        convolved, window = causal_conv_step(xBC, self.conv_weight, self.conv_bias, window)
        x, dt, rates, B, C = self._drives(F.silu(convolved), dt)
        y, memory = ssd_step(x, dt, dt * rates, B, C, memory)
        y = torch.addcmul(y, self.D[:, None], x).flatten(-2)
        return self.out_proj(self.norm.forward(y * F.silu(z))), (memory, window)

    def _projected(self, u: Tensor) -> tuple[Tensor, ...]:
        if on_gpu(u):  # One launch; what follows there reads parts with gaps as well.
            return tuple(self.in_proj.forward(u).split(self.parts, -1))
        return tuple(F.linear(u, rows) for rows in self.in_proj.weight.split(self.parts))

    def _scanned(
        self, xBC: Tensor, dt: Tensor, memory: Tensor, window: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        convolved = causal_conv(xBC, self.conv_weight, self.conv_bias, window, silu=True)
        drives = self._drives(convolved, dt)
        y, memory = rated_ssd(*drives, memory)
        y = torch.addcmul(y, self.D[:, None], drives[0]).flatten(-2)
        return y, memory

    def _drives(self, xBC: Tensor, dt: Tensor) -> Drives:
        """Return what the scan takes: x, dt, rates, B, C."""
        x, B, C = xBC.split(self.channels, -1)
        B, C = (part.view(*dt.shape[:-1], self.groups, self.matrix[1]) for part in (B, C))
        dt = F.softplus(dt.to(self.dt_bias.dtype) + self.dt_bias)
        return x.view(*dt.shape, self.matrix[2]), dt, -self.A_log.exp(), B, C

    def _gated(self, y: Tensor, z: Tensor) -> Tensor:
        # Checkpointed, since what it would keep inside is several times its arguments.
        weights = self.norm.weight, self.out_proj.weight
        return checkpointed_scan(_gated, max(1, y.shape[1]), (), (y, z), weights)[0]

    def _zeros(self, batch: int) -> Mamba2State:
        return self._memory(batch), self.D.new_zeros(batch, TAPS - 1, self.parts[1])

    def _memory(self, batch: int) -> Float[Tensor, "b h n p"]:
        return self.D.new_zeros(batch, *self.matrix)


def _gated(
    state: tuple[()], y: Tensor, z: Tensor, scale: Tensor, matrix: Tensor
) -> tuple[Tensor, tuple[()]]:
    """Norm what passes the gate, and project it; nothing goes on to the next position."""
    return F.linear(torch.rms_norm(y * F.silu(z), scale.shape, scale, EPS), matrix), state
