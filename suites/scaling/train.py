"""Time a training step over whole sequences: forward, backward and AdamW."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from harness.api import Network, Workload
from suites.scaling._sequence import SequenceScaling


@final
@dataclass(frozen=True, kw_only=True)
class Train(SequenceScaling):
    """In the time: clearing gradients, forward, loss, backward, and the optimiser's step.

    Not in it: drawing and moving the batch, and building the optimiser, whose moments the first
    call allocates. AdamW has one group and torch's defaults, whatever the model trains best with.
    """

    times_training: ClassVar[bool] = True

    def workload(self, network: Network, batch: int, rng: torch.Generator) -> Workload:
        """Prepare a batch and an optimiser; a call does one step and returns its loss."""
        network.train()
        inputs = self.drawn(network, batch, rng)
        targets = self.drawn(network, batch, rng)
        optimiser = torch.optim.AdamW(network.parameters())

        def call() -> Tensor:
            optimiser.zero_grad()
            loss = self.outputs.loss(network(inputs), targets)
            loss.backward()
            optimiser.step()
            return loss.detach()

        return Workload(call, tokens=batch * self.length)
