"""Time a forward pass over whole sequences, without gradients."""

from dataclasses import dataclass
from typing import final

import torch

from harness.api import Network, Workload
from suites.scaling._sequence import SequenceScaling


@final
@dataclass(frozen=True, kw_only=True)
class Forward(SequenceScaling):
    """In the time: one forward pass of the network. Not in it: drawing and moving the inputs."""

    def workload(self, network: Network, batch: int, rng: torch.Generator) -> Workload:
        """Prepare the inputs; a call maps them to predictions."""
        network.eval()
        inputs = self.drawn(network, batch, rng)

        @torch.no_grad()
        def call() -> object:
            return network(inputs)

        return Workload(call, tokens=batch * self.length)
