"""The checks that every task must pass in which networks are timed and weighed."""

from dataclasses import replace
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from harness.contract.network import Network, State
from harness.contract.task import MeasuredTask
from harness.core.seeding import scope, stream
from harness.testing.check import Check, CheckError, check


@final
class CountingNetwork(Network):
    """A linear map that counts the positions that it is shown."""

    def __init__(self, task: MeasuredTask) -> None:
        super().__init__()
        self.outputs = task.outputs
        self.encoder = task.inputs.encoder(4)
        self.head: nn.Module = task.outputs.head(4)
        self.positions = 0

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Count all positions."""
        features = self.encoder(inputs)
        self.positions += features.shape[:-1].numel()
        predictions: Tensor = self.head(self.outputs.gather(features, lengths))
        return predictions

    def initial_state(self, batch: int) -> State:
        """Return an empty state."""
        return torch.zeros(batch, 0)

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Count one position a sequence."""
        self.positions += len(u)
        return self.head(self.encoder(u)), state


@check
def calls_process_the_tokens_they_claim(task: MeasuredTask) -> None:
    """Every call of the workload shows the network as many positions as `tokens` says."""
    for batch in (1, 2):
        with scope("conformance", "count"):
            network = CountingNetwork(task)
        workload = task.workload(network, batch, stream("conformance", "workload"))
        for call in (1, 2):
            network.positions = 0
            workload.call()
            if network.positions != workload.tokens:
                raise CheckError(
                    f"Call {call} with a batch of {batch} shows the network {network.positions} "
                    f"positions, but claims {workload.tokens} tokens."
                )


@check
def ladder_goes_up(task: MeasuredTask) -> None:
    """Every rung of its ladder is an option it takes, and `max_length` never shrinks on the way."""
    for option, rungs in task.ladder.items():
        if not hasattr(task, option) or list(rungs) != sorted(set(rungs)):
            raise CheckError(f"Its ladder {option}={rungs} is no option of it, or does not go up.")
        lengths = [replace(cast("Any", task), **{option: rung}).max_length for rung in rungs]
        if lengths != sorted(lengths):
            raise CheckError(f"Along its ladder {option}={rungs} max_length is {lengths}.")


MEASURED_CHECKS: tuple[Check, ...] = (calls_process_the_tokens_they_claim, ladder_goes_up)
