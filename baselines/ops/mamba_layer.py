"""The layer of Mamba: a selection between two projections, gated by a third.

out_proj(selection(x_proj u) SiLU(z_proj u)), the two projections being halves of one.

Axes: b batch, l length, d width, c channels.
"""

from typing import final

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops import native
from baselines.ops.gates import gated
from baselines.ops.reversal import reversed_valid
from baselines.ops.selection import Selection, SelectionForm, SelectionState
from harness.api import Mixer, UnsupportedError


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
            back, _ = self.backward_selection(reversed_valid(x, lengths))
            y = (y + reversed_valid(back, lengths)) / 2
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
        return self.out_proj.forward(y * F.silu(z)), state

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
        form = self.selection.scan_form()
        return f"native-{native.level()}" if form == "native" else form

    def _projected(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the halves of the projection apart, so that neither is a view with gaps."""
        to_x, to_z = self.in_proj.weight.chunk(2)
        return F.linear(u, to_x), F.linear(u, to_z)

    def _gated(self, y: Tensor, z: Tensor) -> Tensor:
        mapped: Tensor = self.out_proj(gated(y, z))
        return mapped
