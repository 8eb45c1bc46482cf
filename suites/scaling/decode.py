"""Time one step of generation after a context of the given length."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from harness.api import Network, Workload
from suites.scaling._sequence import SequenceScaling


@final
@dataclass(frozen=True, kw_only=True)
class Decode(SequenceScaling):
    """In the time: one `step` of the network, one position for each sequence of the batch.

    Not in it: reading the context. Each call carries the state on, so a cache that grows with the
    context has grown by one position a call, a small share of the lengths measured here.
    """

    def workload(self, network: Network, batch: int, rng: torch.Generator) -> Workload:
        """Read a context of `length` positions; a call generates one more.

        Raises:
            UnsupportedError: The network has no step mode.
        """
        network.eval()
        inputs = self.drawn(network, batch, rng)
        with torch.no_grad():
            state = network.prefill(inputs)

        @torch.no_grad()
        def call() -> Tensor:
            nonlocal state
            prediction, state = network.step(inputs[:, -1], state)
            return prediction

        return Workload(call, tokens=batch)
