"""LSTM: the gated recurrent network, one direction or both.

Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", with the forget gate of Gers et al. 2000,
in torch's loop. Not causal, the features of two LSTMs, one for each direction, are joined.
Axis: d width.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

from torch import nn

from baselines.ops.layers.recurrent_layer import RecurrentLayer
from harness.api import Model, Trunk, private_torch


@final
@dataclass(frozen=True, kw_only=True)
class LSTM(Model):
    """Long short-term memory."""

    trunk: ClassVar[Trunk] = Trunk(mix="none")
    reference: ClassVar[str] = "hochreiter1997lstm, gers2000forget"

    def build(self, *, width: int, length: int, causal: bool) -> RecurrentLayer:  # noqa: ARG002
        """Build the layer; it needs no length."""
        network = partial(nn.LSTM, width, width, batch_first=True)
        loop, cell = private_torch("torch.lstm"), private_torch("torch.lstm_cell")
        return RecurrentLayer(network, loop, cell, 2, causal=causal)
