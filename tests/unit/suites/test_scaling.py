"""The scaling tasks: what a call does, and what it leaves out."""

import pytest
import torch
from torch import Tensor, nn

from harness.api import MeasuredTask, Network, SpecError, UnsupportedError
from harness.core.seeding import stream
from suites.scaling.decode import POSITIONS, Decode
from suites.scaling.forward import Forward
from suites.scaling.train import Train

TASKS = [Forward(length=16), Train(length=16), Decode(length=16)]


class RunningSum(Network):
    """A linear map of the running sum; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.steps: list[Tensor] = []

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map sums."""
        predictions: Tensor = self.linear(inputs.cumsum(1))
        return predictions

    def initial_state(self, batch: int) -> Tensor:
        """Start from nothing."""
        return torch.zeros(batch, 1).to(self.linear.weight)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Add a value."""
        self.steps.append(state)
        return self.linear(state + u), state + u


class Wordless(Network):
    """Has no step mode."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map values."""
        predictions: Tensor = self.linear(inputs)
        return predictions


def test_forward_maps_a_whole_batch_without_a_graph() -> None:
    network = RunningSum()
    workload = Forward(length=16).workload(network, 3, stream(0))

    output = workload.call()

    assert isinstance(output, Tensor)
    assert output.shape == (3, 16, 1)
    assert not output.requires_grad
    assert not network.training


def test_train_steps_learn_the_batch_by_heart() -> None:
    network = RunningSum()
    workload = Train(length=16).workload(network, 2, stream(0))
    before = network.linear.weight.clone()

    losses = [float(workload.call()) for _ in range(50)]

    assert network.training
    assert losses[-1] < losses[0]
    assert not torch.equal(network.linear.weight, before)


def test_decode_goes_on_from_its_context_some_positions_a_call() -> None:
    network = RunningSum()
    workload = Decode(length=16).workload(network, 2, stream(0))
    context = network.steps.copy()
    network.steps.clear()

    for _ in range(3):
        workload.call()

    assert len(context) == 16
    assert len(network.steps) == 3 * POSITIONS
    last = network.steps[0] - context[-1]
    torch.testing.assert_close(network.steps[2], network.steps[0] + 2 * last)
    assert workload.tokens == 2 * POSITIONS


@pytest.mark.parametrize("task", TASKS)
def test_workloads_follow_the_networks_precision(task: MeasuredTask) -> None:
    output = task.workload(RunningSum().double(), 1, stream(0)).call()

    assert isinstance(output, Tensor)
    assert output.dtype == torch.float64


def test_decode_says_when_a_network_cannot_step() -> None:
    with pytest.raises(UnsupportedError, match="no step mode"):
        Decode(length=16).workload(Wordless(), 1, stream(0))


@pytest.mark.parametrize("task", TASKS)
def test_the_ladder_goes_from_1024_to_262144_by_factors_of_four(task: MeasuredTask) -> None:
    assert task.ladder == {"length": tuple(1024 * 4**rung for rung in range(5))}


def test_an_empty_sequence_is_refused() -> None:
    with pytest.raises(SpecError, match="at least 1, not 0"):
        Forward(length=0)
