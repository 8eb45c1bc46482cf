"""Recipes of the baselines: options, initial values, groups, and the simple models."""

import math

import pytest
import torch
from torch import Tensor

from baselines.chance import Chance, Constant
from baselines.dlr import DLR
from baselines.lstm import LSTM
from baselines.s4d import S4D
from harness.api import OneLabel, PairLabel, SpecError, StepLabels, UnsupportedError, Values
from harness.loading import load_task
from harness.seeding import scope, stream


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=stream("draw"), dtype=torch.float64)


def test_s4d_draws_step_sizes_log_uniformly_in_their_range() -> None:
    with scope("init"):
        log_dt = S4D().build(width=4096, length=8, causal=True).log_dt
    low, high = math.log(1e-3), math.log(1e-1)
    assert low <= log_dt.min()
    assert log_dt.max() <= high
    counts = torch.histc(log_dt, 4, low, high) / 4096
    assert (counts - 0.25).abs().max() < 0.05


def test_dlr_starts_at_decaying_roots_of_unity() -> None:
    with scope("init"):
        layer = DLR(state=512).build(width=8, length=8, causal=True)
    twice = 2 * layer.r.square()
    assert 0.99e-4 < twice.min() < 2e-4
    assert 0.05 < twice.max() < 1.01e-1
    torch.testing.assert_close(layer.theta.diff(), torch.full((511,), 2 * math.pi / 512))
    assert layer.W.std().item() == pytest.approx(1 / 512, rel=0.05)


def test_s4d_draws_c_with_unit_variance() -> None:
    with scope("init"):
        layer = S4D().build(width=256, length=8, causal=False)
    assert layer.C.shape == (256, 2, 32, 2)
    assert layer.C.square().sum(-1).mean().item() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(
    ("recipe", "apart"),
    [(S4D(), {"A_re", "A_im", "B", "log_dt"}), (DLR(), {"r", "theta", "W"})],
)
def test_the_papers_parameters_train_apart_without_decay(recipe: S4D | DLR, apart: set) -> None:
    names = {name for name, _ in recipe.build(width=4, length=8, causal=True).named_parameters()}
    assert set(recipe.apart) == apart
    assert apart < names
    assert {group.weight_decay for group in recipe.apart.values()} == {0.0}


def test_s4d_counts_the_papers_parameters() -> None:
    layer = S4D(state=64).build(width=128, length=8, causal=False)
    C, own, dt, D = 2 * 128 * 32 * 2, 128 * 32 * 2, 128, 128
    assert sum(p.numel() for p in layer.parameters()) == C + 2 * own + dt + D


def test_parameters_are_real() -> None:
    for recipe in (S4D(), DLR()):
        layer = recipe.build(width=4, length=8, causal=True)
        assert not any(p.is_complex() for p in layer.parameters())


@pytest.mark.parametrize("options", [{"state": 7}, {"state": 0}, {"dt_min": 0.0}, {"dt_min": 1.0}])
def test_s4d_refuses_impossible_options(options: dict) -> None:
    with pytest.raises(SpecError):
        S4D(**options)


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
