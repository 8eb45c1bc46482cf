"""Mamba: a diagonal recurrence whose step size, input and output vectors the input selects.

Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", section 3, with
the sizes and initial values of the authors' code. h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t,
y_t = C_t h_t + D x_t. The paper is causal; the bidirectional form is that of Zhu et al. 2024,
"Vision Mamba": a convolution and a scan of their own for the backward direction, shared projections
and gate, and the mean of both directions as in the code of its published networks.

Axes: b batch, l length, d width.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from baselines.ops.layers.mamba_layer import MambaLayer, SelectionForm
from harness.api import Model, ParameterGroup, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class Mamba(Model):
    """Selective state space model."""

    state: int = 16
    """N, states of a channel."""
    expand: int = 2
    """Channels that are scanned, as a multiple of the width."""
    conv: int = 4
    """Taps of the convolution before the scan."""
    dt_rank: int = 0
    """Rank of the map to step sizes; 0 for a sixteenth of the width, rounded up."""
    dt_min: float = 1e-3
    """Smallest initial step size."""
    dt_max: float = 1e-1
    """Largest initial step size."""
    select_dt: bool = True
    """Whether the input selects the step size; otherwise each channel has one."""
    select_b: bool = True
    """Whether the input selects B, for all channels; otherwise each channel has one."""
    select_c: bool = True
    """Whether the input selects C, for all channels; otherwise each channel has one."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none")
    groups: ClassVar[dict[str, ParameterGroup]] = dict.fromkeys(("A_log", "D"), ParameterGroup())
    reference: ClassVar[str] = "gu2023mamba, zhu2024vim"

    def __post_init__(self) -> None:
        for name in ("state", "expand", "conv"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name} must be positive, not {getattr(self, name)}.")
        if self.dt_rank < 0:
            raise SpecError(f"dt_rank must be positive, or 0 for its default, not {self.dt_rank}.")
        if self.dt_rank and not self.select_dt:
            raise SpecError("With select_dt=false no map has a rank: leave dt_rank alone.")
        if not 0 < self.dt_min <= self.dt_max:
            raise SpecError(f"0 < dt_min <= dt_max must hold, not {self.dt_min}, {self.dt_max}.")

    def build(self, *, width: int, length: int, causal: bool) -> MambaLayer:  # noqa: ARG002
        """Build the layer; it needs no length."""
        form = SelectionForm(
            state=self.state,
            expand=self.expand,
            conv=self.conv,
            dt_rank=self.dt_rank,
            dt_range=(self.dt_min, self.dt_max),
            selects=(self.select_dt, self.select_b, self.select_c),
        )
        return MambaLayer(form, width, causal=causal)
