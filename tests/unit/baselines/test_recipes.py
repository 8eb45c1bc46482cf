"""Recipes of the baselines: options, initial values, groups, and the simple models."""

import pytest
import torch
from torch import Tensor

from baselines.chance import Chance, Constant
from harness.api import (
    Model,
    OneLabel,
    PairLabel,
    State,
    StepLabels,
    UnsupportedError,
    Values,
)
from harness.core.seeding import scope, stream
from harness.plugins.loading import load_model, load_task
from harness.plugins.registry import registry

MIXERS = [name for name in registry().of("model") if isinstance(load_model(name), Model)]


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=stream("draw"), dtype=torch.float64)


def test_chance_predicts_the_majority_and_the_mean() -> None:
    labels = torch.tensor([2, 0, 2, 1, 2])
    assert Constant(OneLabel(3), labels)(torch.zeros(4, 6, 1)).argmax(-1).tolist() == [2] * 4
    values = draw(5, 2, 1).float()
    predicted = Constant(Values(1, 2), values)(torch.zeros(4, 6, 1))
    torch.testing.assert_close(predicted, values.mean().expand(4, 2, 1))


@pytest.mark.parametrize(
    ("outputs", "inputs", "shape"),
    [
        (OneLabel(3), torch.zeros(4, 6, 1), (4, 3)),
        (OneLabel(3, pool="last"), torch.zeros(4, 6, dtype=torch.long), (4, 3)),
        (StepLabels(3), torch.zeros(4, 6, 2), (4, 6, 3)),
        (PairLabel(3), torch.zeros(4, 2, 6, dtype=torch.long), (4, 3)),
    ],
)
def test_chance_predicts_in_the_shape_that_is_asked(
    outputs: OneLabel | StepLabels | PairLabel, inputs: Tensor, shape: tuple
) -> None:
    network = Constant(outputs, torch.tensor([0, 1, 1]))
    assert network(inputs).shape == shape
    assert network(inputs, torch.ones(inputs.shape[: outputs.documents]).long()).shape == shape
    assert list(network.parameters()) == []


def test_chance_skips_tasks_in_which_nothing_is_learned() -> None:
    task = load_task("scaling/train")
    assert "constant" in Chance().skip(task)
    with pytest.raises(UnsupportedError, match="constant"):
        Chance().build_network(task, width=4, depth=1)


def tensors(state: State) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [t for part in state for t in tensors(part)]


@pytest.mark.parametrize("name", MIXERS)
def test_generation_keeps_no_graph_even_if_nobody_switched_gradients_off(name: str) -> None:
    with scope("init"):
        layer = load_model(name).build(width=8, length=6, causal=True)
    u = draw(2, 6, 8).float().requires_grad_()
    outputs, state = layer.advance(u[:, :3], layer.prefill(u[:, :2]))
    output, state = layer.step(u[:, 5], state)
    assert layer(u).requires_grad
    assert not any(part.requires_grad for part in (outputs, output, *tensors(state)))
