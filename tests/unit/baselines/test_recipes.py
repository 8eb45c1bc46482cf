"""Recipes of the baselines: options, initial values, groups, and the simple models."""

import pytest
import torch
from torch import Tensor

from baselines.chance import Chance, Constant
from baselines.lstm import LSTM
from harness.api import OneLabel, PairLabel, StepLabels, UnsupportedError, Values
from harness.loading import load_task
from harness.seeding import scope, stream


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=stream("draw"), dtype=torch.float64)


@pytest.mark.parametrize("causal", [True, False])
def test_the_lstm_equals_the_equations_step_by_step(causal: bool) -> None:
    with scope("init"):
        layer = LSTM().build(width=3, length=6, causal=causal).double()
    u = draw(2, 6, 3)
    weights = dict(layer.lstm.named_parameters())

    def walk(sequence: Tensor, suffix: str) -> Tensor:
        h = c = sequence.new_zeros(2, 3)
        out = []
        for u_t in sequence.unbind(1):
            gates = u_t @ weights[f"weight_ih_l0{suffix}"].mT + weights[f"bias_ih_l0{suffix}"]
            gates = gates + h @ weights[f"weight_hh_l0{suffix}"].mT + weights[f"bias_hh_l0{suffix}"]
            i, f, g, o = gates.chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            out.append(h)
        return torch.stack(out, 1)

    hidden = walk(u, "")
    if not causal:
        hidden = torch.cat([hidden, walk(u.flip(1), "_reverse").flip(1)], -1)
    torch.testing.assert_close(layer(u), layer.out(hidden))


def test_the_lstms_steps_and_prefill_continue_the_sequence() -> None:
    layer = LSTM().build(width=3, length=6, causal=True).double()
    u = draw(2, 6, 3)
    state = layer.prefill(u[:, :5])
    torch.testing.assert_close(state, super(type(layer), layer).prefill(u[:, :5]))
    torch.testing.assert_close(layer.step(u[:, 5], state)[0], layer(u)[:, 5])


def test_padding_reaches_no_valid_position_of_the_lstm() -> None:
    layer = LSTM().build(width=3, length=6, causal=False).double()
    u = draw(2, 6, 3)
    padded = u.clone()
    padded[1, 4:] = 1e6
    y = layer(padded, torch.tensor([6, 4]))
    torch.testing.assert_close(y[0], layer(u)[0])
    torch.testing.assert_close(y[1:, :4], layer(u[1:, :4]))


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
