"""The layer around torch's own recurrent networks: their loop, one direction or both, and a map.

Axes: b batch, l length, d width, k directions.
"""

from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from harness.api import Mixer, UnsupportedError, tensor_bytes

RecurrentState = Float[Tensor, "k b d"] | tuple[Float[Tensor, "k b d"], Float[Tensor, "k b d"]]
"""Hidden features, and an LSTM's cells."""


@final
class RecurrentLayer(Mixer):
    """A recurrent network and a linear map of its hidden features, of both directions if any.

    Args:
        rnn: One layer, batch first, with both directions if the layer is not causal.
        vectors: Vectors of its state; with one, the state is a tensor and no tuple.
    """

    def __init__(self, rnn: nn.LSTM | nn.GRU, vectors: int) -> None:
        super().__init__()
        self.rnn, self.vectors, self.causal = rnn, vectors, not rnn.bidirectional
        width = rnn.hidden_size
        self.out = nn.Linear(width if self.causal else 2 * width, width)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Run over the sequence; packing starts the backward direction at the last valid step."""
        if lengths is None or self.causal:
            hidden = self._run(u)[0]
        else:
            packed = pack_padded_sequence(u, lengths.cpu(), batch_first=True, enforce_sorted=False)
            hidden, _ = pad_packed_sequence(
                self._run(packed)[0], batch_first=True, total_length=u.shape[1]
            )
        mapped: Tensor = self.out(hidden)
        return mapped

    def initial_state(self, batch: int) -> RecurrentState:
        """Return zeros.

        Raises:
            UnsupportedError: The layer sees the future.
        """
        if not self.causal:
            raise UnsupportedError("A bidirectional layer sees the future, so it has no step mode.")
        shape = 1, batch, self.rnn.hidden_size
        zeros = [self.out.weight.new_zeros(shape) for _ in range(self.vectors)]
        return zeros[0] if self.vectors == 1 else (zeros[0], zeros[1])

    def step(
        self, u: Float[Tensor, "b d"], state: RecurrentState
    ) -> tuple[Float[Tensor, "b d"], RecurrentState]:
        """Advance one position."""
        hidden, state = self._run(u[:, None], state)
        return self.out(hidden[:, 0]), state

    def advance(
        self, u: Float[Tensor, "b l d"], state: RecurrentState
    ) -> tuple[Float[Tensor, "b l d"], RecurrentState]:
        """Continue over a piece, in one call of torch's loop."""
        if not u.shape[1]:
            return u, state
        hidden, state = self._run(u, state)
        return self.out(hidden), state

    def state_bytes(self, length: int) -> int:  # noqa: ARG002 - the same at every length
        """Return the bytes of the state's vectors."""
        return tensor_bytes(self.initial_state(1))

    def _run(self, u: Any, state: RecurrentState | None = None) -> tuple[Any, RecurrentState]:
        """Run the loop in the parameters' own precision, which its long products need."""
        with torch.autocast(self.out.weight.device.type, enabled=False):
            outcome: tuple[Any, RecurrentState] = self.rnn(u.to(self.out.weight.dtype), state)
        return outcome
