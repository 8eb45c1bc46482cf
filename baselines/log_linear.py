"""Log-linear attention: a state space or delta rule that weighs the past by how far it is.

Guo et al. 2025, "Log-Linear Attention": the past is held in blocks of 1, 2, 4, ... positions, one
matrix each, and the input sets how much each block counts. `over=ssd` is Mamba-2's recurrence,
S_t = a_t S_{t-1} + dt_t k_t v_t^T, with keys and queries that heads share; `over=gated-delta` is
Gated DeltaNet's, with keys of length one.

Axes: b batch, l length, d width, h heads, k key features, v value features, e levels, j levels but
one, c channels, m taps but one.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.layers.delta_decay import DeltaForm, HeadDecay
from baselines.ops.layers.delta_layer import unit
from baselines.ops.layers.matrix_layer import MatrixLayer, Outputs
from baselines.ops.scans.delta_rule import Gates
from baselines.ops.scans.log_linear import (
    LogLinearState,
    log_linear_delta,
    log_linear_ssd,
    log_linear_step,
)
from harness.api import Model, ParameterGroup, SpecError, Trunk

TAPS = 4
LayerState = tuple[LogLinearState, Float[Tensor, "b m c"]]


@final
@dataclass(frozen=True, kw_only=True)
class LogLinear(Model):
    """Log-linear attention."""

    over: Literal["ssd", "gated-delta"] = "gated-delta"
    """The recurrence that is weighed: that of Mamba-2 or that of Gated DeltaNet."""
    heads: int = 2
    """Heads, which share out the width."""
    expand_v: int = 2
    """Features of a head's values, as a multiple of those of its keys."""
    levels: int = 20
    """Scales a position and head; what is 2^(levels - 2) positions and more away shares one."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    groups: ClassVar[dict[str, ParameterGroup]] = dict.fromkeys(
        ("A_log", "dt_bias", "level_gain"), ParameterGroup()
    )
    reference: ClassVar[str] = "guo2025loglinear, dao2024mamba2, yang2025gateddeltanet"

    def __post_init__(self) -> None:
        for option, least in (("heads", 1), ("expand_v", 1), ("levels", 2)):
            if (value := getattr(self, option)) < least:
                raise SpecError(f"{option} must be {least} at least, not {value}.")

    def build(self, *, width: int, length: int, causal: bool) -> "LogLinearLayer":  # noqa: ARG002
        """Build the layer, if heads divide the width; it needs no length."""
        form = DeltaForm(width=width, heads=self.heads, expand_v=self.expand_v)
        return LogLinearLayer(form, self.levels, delta=self.over == "gated-delta", causal=causal)


@final
class LogLinearLayer(MatrixLayer):
    """The mixer of log-linear attention."""

    def __init__(self, form: DeltaForm, levels: int, *, delta: bool, causal: bool) -> None:
        super().__init__()
        self.form, self.levels, self.delta, self.causal = form, levels, delta, causal
        keys = form.width if delta else form.keys
        self.parts = [keys, keys, form.values]
        self.in_proj = nn.Linear(form.width, sum(self.parts), bias=False)
        self.conv = nn.Parameter(torch.empty(sum(self.parts), TAPS).uniform_(-0.5, 0.5))
        self.decay = HeadDecay(form)
        self.beta_proj = nn.Linear(form.width, form.heads, bias=False) if delta else None
        self.skip = None if delta else nn.Parameter(torch.ones(form.heads))
        self.level_proj = nn.Linear(form.width, form.heads * levels, bias=False)
        self.level_gain = nn.Parameter(torch.ones(form.heads, levels))
        gate = nn.Linear(form.width, form.values, bias=False)
        self.end_with(form.width, (form.heads, form.values // form.heads), gate)

    def ran(self, u: Float[Tensor, "b l d"], state: LayerState) -> tuple[Outputs, LayerState]:
        """Attend chunk by chunk."""
        held, window = state
        mixed = self.in_proj(u)
        convolved = causal_conv(mixed, self.conv, None, window, silu=True)
        (q, k, v), (size, decay), scales = self._signals(convolved), self._paces(u), self._scales(u)
        if self.delta:
            y, held = log_linear_delta(q, k, v, Gates(decay, size, size), scales, held)
        else:
            y, held = log_linear_ssd(size * v, decay[..., 0], k, q, scales, held)
        return self._skipped(y, v), (held, last_inputs(mixed, window))

    def stepped(self, u: Float[Tensor, "b d"], state: LayerState) -> tuple[Outputs, LayerState]:
        """Add one key to the smallest block and read every block."""
        held, window = state
        mixed, window = causal_conv_step(self.in_proj(u), self.conv, None, window)
        (q, k, v), (size, decay) = self._signals(F.silu(mixed)), self._paces(u)
        erased = ((size * k)[..., None, :], k[..., None]) if self.delta else None
        move = partial(_moved, decay.exp()[..., None], erased)
        y, held = log_linear_step(q, (k, size * v), move, self._scales(u), held)
        return self._skipped(y, v), (held, window)

    def zeros(self, batch: int) -> LayerState:
        """Return blocks that hold nothing, and inputs of zero."""
        form, window = self.form, self.conv.new_zeros(batch, TAPS - 1, len(self.conv))
        shape = batch, self.levels - 1, form.heads, form.keys, form.values // form.heads
        return (self.conv.new_zeros(shape), torch.tensor(0)), window

    def _signals(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of heads."""
        heads = self.form.heads
        q, k, v = mixed.split(self.parts, -1)
        if not self.delta:
            q, k = (part[..., None, :].expand(*part.shape[:-1], heads, -1) for part in (q, k))
            return q, k, v.unflatten(-1, (heads, -1))
        q, k, v = (part.unflatten(-1, (heads, -1)) for part in (q, k, v))
        return unit(q) / math.sqrt(self.form.keys), unit(k), v

    def _paces(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a value is multiplied with, dt or beta, and the logarithms of the decays."""
        sizes = self.decay.step_sizes(u)
        written = sizes if self.beta_proj is None else self.beta_proj(u).sigmoid()[..., None]
        return written, self.decay.of(sizes)

    def _scales(self, u: Tensor) -> Float[Tensor, "b *l h e"]:
        logits = self.level_proj(u).unflatten(-1, self.level_gain.shape)
        return F.softplus(self.level_gain * logits.to(self.level_gain.dtype))

    def _skipped(self, y: Tensor, v: Tensor) -> Tensor:
        return y if self.skip is None else torch.addcmul(y, self.skip[:, None], v)


def _moved(kept: Tensor, erased: tuple[Tensor, Tensor] | None, matrix: Tensor) -> None:
    """Take a matrix past a position, in place: it fades, and loses what it holds at a key."""
    matrix.mul_(kept)
    if erased:
        read, key = erased
        matrix.addcmul_(key, read @ matrix, value=-1)
