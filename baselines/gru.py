"""GRU: the recurrent network with two gates and no cell, one direction or both.

Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
Translation", in torch's loop, whose reset gate acts after the product with the hidden features, not
before it. Not causal, the features of two GRUs, one for each direction, are joined, as for an LSTM.
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
class GRU(Model):
    """Gated recurrent unit."""

    trunk: ClassVar[Trunk] = Trunk(mix="none")
    reference: ClassVar[str] = "cho2014gru"

    def build(self, *, width: int, length: int, causal: bool) -> RecurrentLayer:  # noqa: ARG002
        """Build the layer; it needs no length."""
        network = partial(nn.GRU, width, width, batch_first=True)
        loop, cell = private_torch("torch.gru"), private_torch("torch.gru_cell")
        return RecurrentLayer(network, loop, cell, 1, causal=causal)
