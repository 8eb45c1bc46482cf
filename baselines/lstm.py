"""LSTM: the gated recurrent network, one direction or both.

Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers et al. 2000.

Axes: b batch, l length, d width.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from harness.api import Mixer, Model, Trunk, UnsupportedError

LSTMState = tuple[Float[Tensor, "1 b d"], Float[Tensor, "1 b d"]]


@final
@dataclass(frozen=True, kw_only=True)
class LSTM(Model):
    """Long short-term memory."""

    trunk: ClassVar[Trunk] = Trunk(mix="none")
    reference: ClassVar[str] = "hochreiter1997lstm"

    def build(self, *, width: int, length: int, causal: bool) -> "LSTMLayer":  # noqa: ARG002
        """Build the layer; it needs no length."""
        return LSTMLayer(width, causal=causal)


@final
class LSTMLayer(Mixer):
    """torch's LSTM and a linear map of its hidden features, of both directions if it has two."""

    def __init__(self, width: int, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=not causal)
        self.out = nn.Linear(width if causal else 2 * width, width)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Run over the sequence; packing starts the backward direction at the last valid step."""
        if lengths is None or self.causal:
            hidden = self.lstm(u)[0]
        else:
            packed = pack_padded_sequence(u, lengths.cpu(), batch_first=True, enforce_sorted=False)
            hidden, _ = pad_packed_sequence(
                self.lstm(packed)[0], batch_first=True, total_length=u.shape[1]
            )
        mapped: Tensor = self.out(hidden)
        return mapped

    def initial_state(self, batch: int) -> LSTMState:
        """Return zeros: the hidden features and the cells.

        Raises:
            UnsupportedError: The layer sees the future.
        """
        self._check_steps()
        zeros = self.out.weight.new_zeros(1, batch, self.lstm.hidden_size)
        return zeros, zeros.clone()

    def step(
        self, u: Float[Tensor, "b d"], state: LSTMState
    ) -> tuple[Float[Tensor, "b d"], LSTMState]:
        """Advance one position."""
        hidden, state = self.lstm(u[:, None], state)
        return self.out(hidden[:, 0]), state

    def prefill(self, u: Float[Tensor, "b l d"]) -> LSTMState:
        """Return the state after a sequence, in one call of torch's loop."""
        state: LSTMState = self.lstm(u, self.initial_state(len(u)))[1]
        return state

    def state_bytes(self, length: int) -> int:  # noqa: ARG002 - the same at every length
        """Return the bytes of two vectors."""
        self._check_steps()
        return 2 * self.lstm.hidden_size * self.out.weight.element_size()

    def _check_steps(self) -> None:
        if not self.causal:
            raise UnsupportedError("A bidirectional layer sees the future, so it has no step mode.")
