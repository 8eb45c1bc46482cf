"""Mamba-3: a selective state space whose positions add twice, and whose B and C are turned.

Lahoti et al. 2026, "Mamba-3". Between two positions the input is a line and not a step: with
a_t = exp(dt_t A_t) and a share s_t of the trapezoid,

    H_t = a_t (H_{t-1} + (1 - s_t) dt_t B_{t-1} x_{t-1}^T) + s_t dt_t B_t x_t^T,
    y_t = H_t^T C_t + D x_t,

so a position adds to the state when it comes and when the next one does. A, dt and s come from the
input; B and C are normed, biased and turned by angles that add up, which makes half of the state
complex; no convolution stands before. Of rank R ("MIMO") there are R sets of B, C and x. The paper
is causal; a bidirectional layer adds the same scan over the reversal, as in `mamba2`.

Axes: b batch, l length, d width, h heads, p features of each, n state, r rank, k angles.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import chosen, on_gpu
from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.layers.two_tap_layer import (
    EPS,
    Scanned,
    TwoTapState,
    Weights,
    two_tap_layer,
    two_tap_step,
)
from baselines.ops.scans.ssd import CHUNK, FORMS
from baselines.ops.ssm.discretisation import inverse_softplus, log_uniform
from harness.api import Mixer, Model, ParameterGroup, SpecError, Trunk

PIECE = 4096
"""Positions of the whole batch that are done together: what stands between stays in the cache."""


@final
@dataclass(frozen=True, kw_only=True)
class Mamba3(Model):
    """Selective state space of two taps, with turned B and C."""

    state: int = 64
    """N, rows of a head's state; half of them are turned, two by two."""
    expand: int = 2
    """Inner width as a multiple of the width."""
    head_dim: int = 64
    """Features of a head; a narrower layer has one head."""
    rank: int = 1
    """R, sets of B and C, each with inputs and outputs of its own scale."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    groups: ClassVar[dict[str, ParameterGroup]] = dict.fromkeys(("dt_bias", "D"), ParameterGroup())
    reference: ClassVar[str] = "lahoti2026mamba3"

    def __post_init__(self) -> None:
        for option, least in (("state", 4), ("expand", 1), ("head_dim", 1), ("rank", 1)):
            if (value := getattr(self, option)) < least:
                raise SpecError(f"{option} must be at least {least}, not {value}.")

    def build(self, *, width: int, length: int, causal: bool) -> "Mamba3Layer":  # noqa: ARG002
        """Build the layer, if heads divide the inner width."""
        inner = self.expand * width
        features = min(self.head_dim, inner)
        if inner % features:
            raise SpecError(
                f"An inner width of {inner} does not divide into heads of {features} features; "
                f"choose another head_dim or width."
            )
        return Mamba3Layer(self, width, inner // features, causal=causal)


@final
class Mamba3Layer(Mixer):
    """The mixer of Mamba-3, projected in the authors' order: z, x, B, C, dt, A, share, angles."""

    def __init__(self, recipe: Mamba3, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        inner = recipe.expand * width
        self.causal, self.rank, self.heads = causal, recipe.rank, heads
        self.angles = recipe.state // 4
        shared = recipe.rank * recipe.state
        self.parts = [inner, inner, shared, shared, heads, heads, heads, self.angles]
        self.in_proj = nn.Linear(width, sum(self.parts), bias=False)
        self.dt_bias = nn.Parameter(
            inverse_softplus(log_uniform(1e-3, 1e-1, heads).exp().clamp(min=1e-4))
        )
        self.B_norm, self.C_norm = (nn.RMSNorm(recipe.state, eps=EPS) for _ in range(2))
        self.B_bias, self.C_bias = (
            nn.Parameter(torch.ones(recipe.rank, heads, recipe.state)) for _ in range(2)
        )
        self.D = nn.Parameter(torch.ones(heads))
        several, features = recipe.rank > 1, (recipe.rank, heads, inner // heads)
        self.x_scale, self.z_scale, self.y_scale = (
            nn.Parameter(torch.full(features, value)) if several else None
            for value in (1 / recipe.rank, 1.0, 1 / recipe.rank)
        )
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Scan once, or once from each end of the valid positions."""
        if self.causal:
            return self._in_pieces(u, self._zeros(len(u)))[0]
        z, y, _ = self._scanned(u, self._zeros(len(u)))
        _, again, _ = self._scanned(reverse_valid(u, lengths), self._zeros(len(u)))
        return self._gated(y + reverse_valid(again, lengths), z)

    def path(self) -> str:
        """Name the form of the scan."""
        widest = max(self.B_bias.shape[-1], self.out_proj.in_features // self.heads)
        return chosen(FORMS, self.D, widest=widest).name

    def initial_state(self, batch: int) -> TwoTapState:
        """Return zeros."""
        return self._zeros(batch)

    def advance(
        self, u: Float[Tensor, "b l d"], state: TwoTapState
    ) -> tuple[Float[Tensor, "b l d"], TwoTapState]:
        """Continue over a piece of a sequence, chunk by chunk."""
        return self._in_pieces(u, state)

    def step(
        self, u: Float[Tensor, "b d"], state: TwoTapState
    ) -> tuple[Float[Tensor, "b d"], TwoTapState]:
        """Advance one position."""
        z, y, state = two_tap_step(self.in_proj(u), self._weights(), state)
        return self._gated(y, z), state

    def _in_pieces(self, u: Tensor, state: TwoTapState) -> tuple[Tensor, TwoTapState]:
        # In one on a GPU, where every piece is launches.
        rows = u.shape[1] if on_gpu(u) else PIECE // (CHUNK * len(u)) * CHUNK
        outputs = []
        for piece in u.split(max(CHUNK, rows), 1):
            z, y, state = self._scanned(piece, state)
            outputs.append(self._gated(y, z))
        return torch.cat(outputs, 1), state

    def _scanned(self, u: Tensor, state: TwoTapState) -> Scanned:
        return two_tap_layer(self.in_proj(u), self._weights(), state)

    def _weights(self) -> Weights:
        norms, biases = (self.B_norm.weight, self.C_norm.weight), (self.B_bias, self.C_bias)
        return Weights(self.dt_bias, *norms, *biases, self.D, self.x_scale, self.parts)

    def _gated(self, y: Tensor, z: Tensor) -> Tensor:
        """Gate the outputs of all ranks, add them and project."""
        z = z.unflatten(-1, (1, self.heads, -1))
        if self.z_scale is None or self.y_scale is None:
            y = y * F.silu(z)
        else:
            y = (y * F.silu(z * self.z_scale) * self.y_scale).sum(-3, keepdim=True)
        mapped: Tensor = self.out_proj(y.flatten(-3).to(self.out_proj.weight.dtype))
        return mapped

    def _zeros(self, batch: int) -> TwoTapState:
        (_, heads, states), zeros = self.B_bias.shape, self.D.new_zeros
        features = self.out_proj.in_features // heads
        sets, k = (self.rank, heads), self.angles
        shapes = (heads, states, features), (*sets, states), (*sets, features), (heads, k)
        return TwoTapState(*(zeros(batch, *shape) for shape in shapes))
