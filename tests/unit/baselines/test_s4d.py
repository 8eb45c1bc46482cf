"""The recipe of S4D: options, initial values, groups and counts."""

import math

import pytest
import torch

from baselines.s4 import S4
from baselines.s4d import S4D, circle, initial_poles, pole_sets
from harness.api import OneLabel, ParameterGroup, Signal, SpecError
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone


def test_step_sizes_are_log_uniform_in_their_range() -> None:
    with scope("init"):
        log_dt = S4D().build(width=4096, length=8, causal=True).log_dt
    low, high = math.log(1e-3), math.log(1e-1)
    assert low <= log_dt.min()
    assert log_dt.max() <= high
    counts = torch.histc(log_dt, 4, low, high) / 4096
    assert (counts - 0.25).abs().max() < 0.05


def test_c_is_drawn_with_unit_variance_and_d_too() -> None:
    with scope("init"):
        layer = S4D().build(width=1024, length=8, causal=False)
    assert layer.C.shape == (1024, 2, 32, 2)
    assert layer.C.square().sum(-1).mean().item() == pytest.approx(1, rel=0.03)
    assert layer.D.std().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("init", "decay", "frequency"),
    [
        ("inv", (0.5, 0.5), (8 / math.pi * 7, 8 / math.pi * (8 / 3 - 1))),
        ("inv2", (0.5, 0.5), (8 / math.pi * 7, 8 / math.pi * 3)),
        ("lin", (0.5, 0.5), (0, math.pi)),
        ("fout", (0.5, 0.5), (0, 2 * math.pi)),
        ("quad", (0.5, 0.5), (1 / math.pi, 9 / math.pi)),
        ("real", (1, 2), (0, 0)),
    ],
)
def test_closed_forms_begin_as_their_formulas_say(
    init: str, decay: tuple[float, float], frequency: tuple[float, float]
) -> None:
    A, B = initial_poles(init, 8)
    torch.testing.assert_close(A[:2].real, -torch.tensor(decay).double())
    torch.testing.assert_close(A[:2].imag, torch.tensor(frequency).double())
    assert torch.equal(B, torch.ones(4).double())


def test_random_frequencies_are_log_normal_and_differ_between_sets() -> None:
    with scope("init"):
        A, B = pole_sets("random", 64, 500)
    assert A.shape == B.shape == (500, 32)
    log = A.imag.log()
    assert log.mean().item() == pytest.approx(0, abs=0.03)
    assert log.std().item() == pytest.approx(1, rel=0.03)
    assert torch.equal(A.real, torch.full_like(A.real, -0.5))


def test_the_circle_is_covered_evenly_by_all_channels_together() -> None:
    phases = circle(8, 3)
    assert phases.shape == (3, 5)
    steps = phases[:, :4].flatten().sort().values.diff()
    torch.testing.assert_close(steps, torch.full_like(steps, 2 * math.pi / 24))


def test_channels_take_the_sets_in_turn() -> None:
    with scope("init"):
        layer = S4D(state=4, init="random", n_ssm=2).build(width=6, length=8, causal=True).double()
    assert layer.A_im.shape == (2, 2)
    dt = layer.log_dt.exp()[:, None]
    frequency = layer.system()[1].log().imag / dt
    torch.testing.assert_close(frequency, layer.A_im.repeat(3, 1))


def test_the_speech_configuration_has_the_papers_306083_parameters() -> None:
    network = Backbone(S4D(n_ssm=2), Speech(), 128, 6, 0.0)
    assert sum(p.numel() for p in network.parameters()) == 306_083


class Speech:
    """What the backbone asks of a task, with the inputs and outputs of SC35."""

    inputs = Signal(1)
    outputs = OneLabel(35)
    max_length = 16_000
    causal = False


def test_the_continuous_system_trains_apart_and_c_does_not() -> None:
    groups = dict(S4D().parameter_groups())
    assert groups.pop("D") == ParameterGroup(weight_decay=None)
    assert {name: group.lr for name, group in groups.items()} == dict.fromkeys(
        ("A_re", "A_im", "B", "log_dt"), 1e-3
    )
    assert {group.weight_decay for group in groups.values()} == {0.0}
    text = S4D(dt_lr=0.01, ssm_lr=5e-4).parameter_groups()
    assert (text["A_re"].lr, text["log_dt"].lr) == (5e-4, 0.01)


def test_a_rate_of_zero_freezes() -> None:
    layer = S4D(ssm_lr=0.0, dt_lr=0.0).build(width=4, length=8, causal=True)
    trained = {name for name, p in layer.named_parameters() if p.requires_grad}
    assert trained == {"C", "D"}


@pytest.mark.parametrize("real", ["exp", "relu", "none"])
def test_every_parameterisation_begins_at_the_same_poles(real: str) -> None:
    layer = S4D(state=8, init="real", real=real).build(width=1, length=8, causal=True)
    expected = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).double()
    torch.testing.assert_close(layer.decay(), expected, rtol=1e-3, atol=0)


def test_parameters_are_real() -> None:
    for init in ("legs", "dfout"):
        layer = S4D(init=init).build(width=4, length=8, causal=True)
        assert not any(p.is_complex() for p in layer.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"state": 7},
        {"state": 0},
        {"dt_min": 0.0},
        {"dt_min": 1.0},
        {"n_ssm": -1},
        {"bandlimit": -0.5},
        {"ssm_lr": -1.0},
        {"init": "dfout", "disc": "bilinear"},
        {"init": "dfout", "n_ssm": 2},
    ],
)
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        S4D(**options)


def test_a_width_that_the_sets_do_not_divide_is_refused() -> None:
    with pytest.raises(SpecError, match="multiple of n_ssm=3"):
        S4D(n_ssm=3).build(width=4, length=8, causal=True)


@pytest.mark.parametrize(("states", "channels"), [(6, 3), (8, 1), (4, 5)])
def test_dfouts_channels_share_the_frequency_of_the_last_pole_alone(
    states: int, channels: int
) -> None:
    phases = circle(states, channels)
    frequencies = torch.minimum(phases, 2 * torch.pi - phases)
    distinct = (frequencies * states * channels / (2 * torch.pi)).round().unique()
    assert phases.numel() == channels * (states // 2 + 1)
    assert len(distinct) == channels * states // 2 + 1


@pytest.mark.parametrize(
    ("recipe", "deviation"),
    [(S4D(), 2.0), (S4D(b_clip=2.0), 1.23), (S4(), 0.805), (S4(b_clip=2.0), 0.682)],
    ids=str,
)
def test_clipping_b_as_the_code_does_lets_outputs_begin_smaller(
    recipe: S4 | S4D, deviation: float
) -> None:
    with scope("init"), torch.no_grad():
        layer = recipe.build(width=256, length=2048, causal=True)
        layer.D.zero_()
        noise = torch.randn(1, 2048, 256, generator=stream("noise"))

        assert layer(noise).std().item() == pytest.approx(deviation, rel=0.1)


def test_a_bound_of_b_is_refused_where_b_is_real() -> None:
    with pytest.raises(SpecError, match="b_clip is for init=legs"):
        S4D(init="inv", b_clip=2.0)
    with pytest.raises(SpecError, match="b_clip is not for init=fout"):
        S4(init="fout", b_clip=2.0)
