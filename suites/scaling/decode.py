"""Time steps of generation after a context of the given length."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from harness.api import Network, Steps, Workload, recorder
from suites.scaling._sequence import SequenceScaling

POSITIONS = 16
"""A call's: some layers do the work of several positions at one of them."""


@final
@dataclass(frozen=True, kw_only=True)
class Decode(SequenceScaling):
    """In the time: so many `step`s of the network, a position each for each sequence of the batch.

    Not in it: reading the context. Each call carries the state on, so a cache that grows with the
    context grows with every call, by a small share of the lengths measured here. On CUDA steps are
    replayed as graphs, where they can be recorded; recording falls into the first calls.
    """

    version: ClassVar[int] = 2

    def workload(self, network: Network, batch: int, rng: torch.Generator) -> Workload:
        """Read a context of `length` positions; a call generates `POSITIONS` more.

        Raises:
            UnsupportedError: The network has no step mode.
        """
        network.eval()
        inputs = self.drawn(network, batch, rng)
        with torch.no_grad():
            state = network.prefill(inputs)
        record = recorder(inputs.device)
        steps = Steps(network, state, record)
        del state

        @torch.no_grad()
        def call() -> Tensor:
            for _ in range(POSITIONS):
                prediction = steps(inputs[:, -1])
            return prediction

        return Workload(call, tokens=batch * POSITIONS, forget=steps.forget if record else None)
