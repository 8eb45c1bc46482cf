"""The layer around torch's own recurrent networks: their loop, one direction or both, and a map.

Axes: b batch, l length, d width.
"""

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from harness.api import Mixer

RecurrentState = tuple[Float[Tensor, "1 b d"], ...]
"""Hidden features, and an LSTM's cells."""

SEGMENT = 1 << 20
"""Hidden features whose loop is recomputed for the gradient at a time."""
WHOLE = 1 << 22
"""Hidden features up to which what the loop makes inside, up to fifty times as much, is kept."""


@final
class RecurrentLayer(Mixer):
    """A recurrent network and a linear map of its hidden features, of both directions if any.

    Args:
        network: Makes the parameters of one direction.
        loop: torch's function behind that network.
        cell: Makes one round of the loop.
        vectors: Vectors of its state; with one, torch takes and returns it alone.
        causal: Whether there is one direction only.
    """

    def __init__(
        self,
        network: Callable[[], nn.LSTM | nn.GRU],
        loop: Callable[..., Any],
        cell: Callable[..., Any],
        vectors: int,
        *,
        causal: bool,
    ) -> None:
        super().__init__()
        self.loop, self.cell, self.vectors, self.causal = loop, cell, vectors, causal
        self.rnn = network()
        self.backward_rnn = None if causal else network()
        width = self.rnn.hidden_size
        self.out = nn.Linear(width if causal else 2 * width, width)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Run over the sequence; the backward direction starts at the last valid position."""
        hidden = self._run(self.rnn, u, self._zeros(len(u)))[0]
        if self.backward_rnn is not None:
            back = self._run(self.backward_rnn, reverse_valid(u, lengths), self._zeros(len(u)))[0]
            hidden = torch.cat([hidden, reverse_valid(back, lengths)], -1)
        mapped: Tensor = self.out(hidden)
        return mapped

    def initial_state(self, batch: int) -> RecurrentState:
        """Return zeros."""
        return self._zeros(batch)

    def step(
        self, u: Float[Tensor, "b d"], state: RecurrentState
    ) -> tuple[Float[Tensor, "b d"], RecurrentState]:
        """Advance one position by the bare cell: torch's loop prepares for long sequences."""
        before = [part[0] for part in state]
        with torch.autocast(u.device.type, enabled=False):
            u = u.to(self.out.weight.dtype)
            after = self.cell(u, self._torchs(before), *self.rnn.parameters())
        after = after if self.vectors > 1 else (after,)
        return self.out(after[0]), tuple(part[None] for part in after)

    def advance(
        self, u: Float[Tensor, "b l d"], state: RecurrentState
    ) -> tuple[Float[Tensor, "b l d"], RecurrentState]:
        """Continue over a piece, in one call of torch's loop."""
        hidden, state = self._run(self.rnn, u, state)
        return self.out(hidden), state

    def _zeros(self, batch: int) -> RecurrentState:
        shape = 1, batch, self.rnn.hidden_size
        return tuple(self.out.weight.new_zeros(shape) for _ in range(self.vectors))

    def _run(
        self, rnn: nn.LSTM | nn.GRU, u: Tensor, state: RecurrentState
    ) -> tuple[Tensor, RecurrentState]:
        """Run the loop; of a long sequence the gradient keeps the states between segments only."""
        weights = tuple(rnn.parameters())
        u = u.to(weights[0].dtype)
        if u.numel() <= WHOLE or not torch.is_grad_enabled():
            return self._loop(state, u, *weights)
        segment = max(1, SEGMENT // u[:, 0].numel())
        return checkpointed_scan(self._loop, segment, state, (u,), weights)

    def _loop(
        self, state: RecurrentState, u: Tensor, *weights: Tensor
    ) -> tuple[Tensor, RecurrentState]:
        """Run torch's loop from a state with weights, in their precision: its products are long."""
        train = torch.is_grad_enabled()
        with torch.autocast(u.device.type, enabled=False):
            hidden, *after = self.loop(
                u, self._torchs(state), weights, True, 1, 0.0, train, False, True
            )
        return hidden, tuple(after)

    def _torchs(self, state: Sequence[Tensor]) -> Any:
        """Return a state as torch's functions take it."""
        return state if self.vectors > 1 else state[0]
