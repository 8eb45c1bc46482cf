"""The layer of Mamba: a selection between two projections, gated by a third.

out_proj(selection(in_x u) SiLU(in_z u)), where in_x and in_z are halves of one projection. A
selection is a short convolution, and a scan whose system is made from what it gives:
x = SiLU(conv(x)); (delta, B, C) = x_proj(x); dt = softplus(dt_proj delta + dt_bias);
y = scan(x; dt, A, B, C) + D x with A = -exp(A_log).

Axes: b batch, l length, d width, c channels, p past inputs (taps but one), n states.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.activations import gated, softplus
from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.forms import Form, on_gpu
from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.linear import linear
from baselines.ops.scans import native
from baselines.ops.scans.selective_scan import Selective, scan_form, selective_scan
from baselines.ops.ssm.discretisation import inverse_softplus, log_uniform
from harness.api import Mixer, UnsupportedError

SelectionState = tuple[Float[Tensor, "b p c"], Float[Tensor, "b c n"]]
"""The last inputs of the convolution, and the state of the scan."""

DT_FLOOR = 1e-4
"""Least initial step size, as in the authors' code."""


@final
@dataclass(frozen=True, kw_only=True)
class SelectionForm:
    """What a selection is made of."""

    state: int = 16
    """N, states of a channel."""
    expand: int = 2
    """Channels, as a multiple of the width."""
    conv: int = 4
    """Taps of the convolution."""
    dt_rank: int = 0
    """Rank of the map to step sizes; 0 for a sixteenth of the width, rounded up."""
    dt_range: tuple[float, float] = (1e-3, 1e-1)
    """Smallest and largest initial step size."""
    selects: tuple[bool, bool, bool] = (True, True, True)
    """Whether the input selects dt, B and C; what it does not is a parameter of each channel."""
    normed: bool = False
    """Whether delta, B and C pass an RMS norm each, as in Jamba."""


@final
class MambaLayer(Mixer):
    """The mixer of Mamba, and of the Mamba layers of Jamba."""

    def __init__(self, form: SelectionForm, width: int, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        channels = form.expand * width
        self.in_proj = nn.Linear(width, 2 * channels, bias=False)
        self.selection = Selection(form, width)
        self.backward_selection = None if causal else Selection(form, width)
        self.out_proj = nn.Linear(channels, width, bias=False)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Mix; the backward direction starts at each sequence's last valid position."""
        x, z = self._projected(u)
        y, _ = self.selection(x)
        if self.backward_selection is not None:
            back, _ = self.backward_selection(reverse_valid(x, lengths))
            y = (y + reverse_valid(back, lengths)) / 2
        return self._gated(y, z)

    def advance(
        self, u: Float[Tensor, "b l d"], state: SelectionState
    ) -> tuple[Float[Tensor, "b l d"], SelectionState]:
        """Scan on from a state."""
        x, z = self._projected(u)
        y, state = self.selection(x, state)
        return self._gated(y, z), state

    def step(
        self, u: Float[Tensor, "b d"], state: SelectionState
    ) -> tuple[Float[Tensor, "b d"], SelectionState]:
        """Advance one position."""
        # Not by calls, which cost a token more than a small operator.
        x, z = self.in_proj.forward(u).chunk(2, -1)
        y, state = self.selection.step(x, state)
        return self.out_proj.forward((y * F.silu(z)).to(self.out_proj.weight.dtype)), state

    def initial_state(self, batch: int) -> SelectionState:
        """Return zeros."""
        state: SelectionState = self.selection.initial_state(batch)
        return state

    def resample(self, rate: float) -> None:
        """Refuse other rates than that of the training.

        Raises:
            UnsupportedError: The rate is not one.
        """
        if rate != 1:
            raise UnsupportedError(
                "The convolution of Mamba counts samples, not time, so the layer follows no other "
                "sampling rate."
            )

    def path(self) -> str:
        """Name the form of the scan, and the instruction set if it is the compiled one."""
        form = self.selection.scan_form().name
        return f"native-{native.level()}" if form == "native" else form

    def _projected(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the halves of the projection apart, so that neither is a view with gaps.

        On a GPU one product is faster than two, and all that follows reads gaps.
        """
        if on_gpu(u):
            x, z = self.in_proj(u).chunk(2, -1)
            return x, z
        to_x, to_z = self.in_proj.weight.chunk(2)
        return linear(u, to_x), linear(u, to_z)

    def _gated(self, y: Tensor, z: Tensor) -> Tensor:
        # Half precision scans in single.
        return linear(gated(y, z).to(self.out_proj.weight.dtype), self.out_proj.weight)


@final
class Selection(nn.Module):
    """Convolution and scan in one direction of time."""

    def __init__(self, form: SelectionForm, width: int) -> None:
        super().__init__()
        channels, states = form.expand * width, form.state
        rank = form.dt_rank or math.ceil(width / 16)
        sizes = zip((rank, states, states), form.selects, strict=True)
        self.sizes = [size if selects else 0 for size, selects in sizes]
        self.conv = nn.Conv1d(channels, channels, form.conv, groups=channels)
        self.x_proj = nn.Linear(channels, sum(self.sizes), bias=False) if any(self.sizes) else None
        self.norms = nn.ModuleList(
            nn.RMSNorm(size, eps=1e-6) if size else nn.Identity()
            for size in (self.sizes if form.normed else ())
        )
        dt = log_uniform(*form.dt_range, channels).exp().clamp(min=DT_FLOOR)
        self.dt_bias = nn.Parameter(inverse_softplus(dt))
        own = torch.empty(channels, rank).uniform_(-1, 1) / math.sqrt(rank)
        self.dt_proj = nn.Parameter(own) if form.selects[0] else None
        self.A_log = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(channels, 1))
        # What is not selected starts as in S4D's real form.
        self.B = None if form.selects[1] else nn.Parameter(torch.ones(channels, states))
        self.C = None if form.selects[2] else nn.Parameter(torch.randn(channels, states))
        self.D = nn.Parameter(torch.ones(channels))

    def forward(
        self, x: Float[Tensor, "b l c"], state: SelectionState | None = None
    ) -> tuple[Float[Tensor, "b l c"], SelectionState]:
        """Scan a sequence, or what continues one; returns the state after it too."""
        past, before = (None, None) if state is None else state
        convolved = causal_conv(x, self.conv.weight.squeeze(1), self.conv.bias, past, silu=True)
        dt, B, C = self.selected(convolved)
        system = Selective(
            dt=softplus(dt).expand_as(convolved),
            A=-self.A_log.exp(),
            B=B.expand(*convolved.shape[:2], -1),
            C=C.expand(*convolved.shape[:2], -1),
            D=self.D,
            gain=self.gain(),
        )
        y, after = selective_scan(convolved, system, before)
        past = self.initial_state(len(x))[0] if past is None else past
        return y, (last_inputs(x, past), after)

    def step(
        self, x: Float[Tensor, "b c"], state: SelectionState
    ) -> tuple[Float[Tensor, "b c"], SelectionState]:
        """Advance one position."""
        past, before = state
        x, past = causal_conv_step(x, self.conv.weight.squeeze(1), self.conv.bias, past)
        logit, B, C = self.selected(x := F.silu(x))
        dt, gain = F.softplus(logit, threshold=40).expand_as(x), self.gain()
        decay = (dt[..., None] * -self.A_log.exp()).exp_()
        after = decay.mul_(before).addcmul_((dt * x)[..., None], B[..., None, :])
        read = C[..., None, :] if gain is None else C[..., None, :] * gain
        return torch.addcmul((after * read).sum(-1), self.D, x), (past, after)

    def selected(self, x: Float[Tensor, "... c"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return what softplus makes dt of, B and C; ones for what stands in the gain instead."""
        projected = x.new_empty(0) if self.x_proj is None else linear(x, self.x_proj.weight)
        parts = projected.split(self.sizes, -1) if any(self.sizes) else [projected] * 3
        # Norms work in their weights' precision; autocast would leave them to a slow path.
        delta, B, C = (part.to(self.D.dtype) for part in parts)
        if self.norms:
            delta, B, C = (n(part) for n, part in zip(self.norms, (delta, B, C), strict=True))
        # In eight bits the bias would lose its even spread.
        logit: Tensor = self.dt_bias
        if self.dt_proj is not None:
            logit = linear(delta, self.dt_proj, self.dt_bias)
        states = self.A_log.shape[1]
        B, C = (
            part if own is None else x.new_ones(states) for own, part in ((self.B, B), (self.C, C))
        )
        return logit.to(x.dtype), B.to(x.dtype), C.to(x.dtype)

    def gain(self) -> Float[Tensor, "c n"] | None:
        """Return the product of those of B and C that are parameters."""
        if self.B is None or self.C is None:
            return self.C if self.B is None else self.B
        return self.B * self.C

    def initial_state(self, batch: int) -> SelectionState:
        """Return zeros."""
        past = self.D.new_zeros(batch, self.conv.kernel_size[0] - 1, len(self.D))
        return past, self.D.new_zeros(batch, *self.A_log.shape)

    def scan_form(self) -> Form:
        """Say which form scans a whole sequence."""
        return scan_form(self.D, plain=self.gain() is None)
