"""A gated recurrence that reads a prefix from both ends and then continues it causally.

Blouir et al. 2024, "Birdie", sections 3.1, A.3 and A.4. A bidirectional layer splits its states in
halves, one forwards and one backwards in time. A mask says what a position is:

    1 the first of a packed sample,  2 of its causal area (suffix),  0 elsewhere in its prefix.

The forward half forgets everything at a 1: its forget gate is zero. The backward half does so in a
suffix, where its state holds its own position's input only; and, since the last state before a
border would otherwise read the first one behind it, at the last position of each prefix too. So
nothing flows from a suffix into a prefix, nor out of a sample. What a position adds stays as it is:
a sample comes out of a pack as alone. Without a mask all is prefix; steps generate a suffix.

Axes: b batch, l length, d width, s states.
"""

from abc import abstractmethod
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.forms import chosen
from baselines.ops.scans.gated_scan import FORMS, gated_scan
from harness.api import Mixer, valid_positions

START, PREFIX, SUFFIX = 1, 0, 2
Mask = Int[Tensor, "b l"]
Window = Float[Tensor, "b m s"]
"""The last inputs, as many as the layer's convolution needs; none in a layer without one."""
PrefixState = tuple[Float[Tensor, "b _"], Window]
"""The states that run forwards, and the window."""
Signals = tuple[Tensor, Tensor, Tensor, Window]
"""(b, l, s) forget gates, what is added to the states, what gates the output; the next window."""


class PrefixLayer(Mixer):
    """What the Gated SSM and Hawk share; they differ in how the input makes the signals."""

    def __init__(self, width: int, states: int, past: int, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.forwards = states if causal else states // 2
        self.past = past
        self.out = nn.Linear(states, width, bias=False)

    @abstractmethod
    def signals(self, u: Float[Tensor, "b *l d"], window: Window) -> Signals:
        """Return what drives the recurrence."""

    def position(self, u: Float[Tensor, "b d"], window: Window) -> Signals:
        """Return what drives it at one position, (b, s), without gradients.

        A layer whose signals need the length axis overrides this.
        """
        return self.signals(u, window)

    def forward(
        self,
        u: Float[Tensor, "b l d"],
        lengths: Int[Tensor, " b"] | None = None,
        mask: Mask | None = None,
    ) -> Float[Tensor, "b l d"]:
        """Scan both halves, or all states forwards in a causal layer.

        Args:
            u: Features.
            lengths: Valid positions of each sequence; None if all are.
            mask: What each position is, as the module says; None if all are prefix.
        """
        if lengths is not None and not self.causal:
            valid = valid_positions(u, lengths)
            mask = torch.zeros_like(valid, dtype=torch.long) if mask is None else mask
            mask = mask.masked_fill(~valid, SUFFIX)
        return self._scanned(u, mask, self._zeros(len(u)))[0]

    @final
    def no_step_mode(self) -> str:
        """Leave every layer its steps: they generate what the states that run backwards end at."""
        return ""

    @final
    def initial_state(self, batch: int) -> PrefixState:
        """Return zeros: a suffix without a prefix."""
        return self._zeros(batch)

    @final
    def advance(
        self, u: Float[Tensor, "b l d"], state: PrefixState
    ) -> tuple[Float[Tensor, "b l d"], PrefixState]:
        """Continue over a piece of the suffix."""
        suffix = torch.full(u.shape[:2], SUFFIX, device=u.device)
        return self._scanned(u, None if self.causal else suffix, state)

    @final
    def path(self) -> str:
        """Name the form of the scan."""
        return chosen(FORMS, self.out.weight).name

    @final
    def prefill(self, u: Float[Tensor, "b l d"]) -> PrefixState:
        """Return the state after a prefix; only what runs forwards outlives it."""
        return self._scanned(u, None, self._zeros(len(u)))[1]

    @final
    def step(
        self, u: Float[Tensor, "b d"], state: PrefixState
    ) -> tuple[Float[Tensor, "b d"], PrefixState]:
        """Advance one position of the suffix, where backward states hold their own input only."""
        before, window = state
        forget, drive, gate, window = self.position(u, window)
        forth = torch.addcmul(drive[:, : self.forwards], forget[:, : self.forwards], before)
        h = forth if self.causal else torch.cat([forth, drive[:, self.forwards :]], -1)
        return self.out(gate * h), (forth, window)

    def _scanned(
        self, u: Tensor, mask: Tensor | None, state: PrefixState
    ) -> tuple[Tensor, PrefixState]:
        before, window = state
        forget, drive, gate, window = self.signals(u, window)
        forth, back = self._halves(forget)
        forth_drive, back_drive = self._halves(drive)
        if mask is not None:
            forth = forth.masked_fill((mask == START)[..., None], 0)
        h, last = gated_scan(forth, forth_drive, before)
        if not self.causal:
            if mask is not None:
                back = back.masked_fill(_ends_prefix(mask)[..., None], 0)
            zeros = torch.zeros_like(back_drive[:, 0])
            h = torch.cat([h, gated_scan(back, back_drive, zeros, reverse=True)[0]], -1)
        mapped: Tensor = self.out(gate * h)
        return mapped, (last, window)

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what runs forwards and what runs backwards; causal layers are not cut at all."""
        if self.causal:
            return x, x[..., :0]
        return x[..., : self.forwards], x[..., self.forwards :]

    def _zeros(self, batch: int) -> PrefixState:
        zeros = self.out.weight.new_zeros
        return zeros(batch, self.forwards), zeros(batch, self.past, self.out.in_features)


def _ends_prefix(mask: Tensor) -> Tensor:
    """Return where nothing may come from behind: in a suffix, and where a prefix ends."""
    behind = torch.cat([mask[:, 1:], mask.new_full((len(mask), 1), PREFIX)], 1)
    return (mask == SUFFIX) | (behind != PREFIX)


def alternating(depth: int, *, causal: bool) -> list[bool]:
    """Return which layers of a stack are causal: all, or every second from the second on."""
    return [causal or layer % 2 == 1 for layer in range(depth)]
