"""The recipe of S4: options, initial values, counts, optimiser groups."""

import math

import pytest
import torch

from baselines.ops.ssm import hippo
from baselines.s4 import S4, S4Layer
from harness.api import OneLabel, ParameterGroup, Signal, SpecError
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.testing import TinyTask


def built(recipe: S4, *, width: int = 4, causal: bool = True) -> S4Layer:
    with scope("init"):
        return recipe.build(width=width, length=8, causal=causal)


def test_the_speech_commands_configuration_has_the_papers_number_of_parameters() -> None:
    task = TinyTask(
        target=lambda n, rng: torch.randint(35, (n,), generator=rng),
        inputs=Signal(1),
        outputs=OneLabel(35),
        causal=False,
    )
    network = Backbone(S4(state=64, n_ssm=2), task, 128, 6, 0.0)
    assert sum(p.numel() for p in network.parameters()) == 306_851


@pytest.mark.parametrize(("init", "rank"), [("legs", 1), ("legt", 2), ("legs-fout", 1)])
def test_parameters_are_counted_by_sets_channels_and_rank(init: str, rank: int) -> None:
    mixer = built(S4(state=16, init=init, n_ssm=2), width=8, causal=False)
    sizes = {name: p.numel() for name, p in mixer.named_parameters()}
    a_set = 2 * 8  # half the states
    assert sizes == {
        "A_re": a_set,
        "A_im": a_set,
        "B": 2 * a_set,
        "P": 2 * a_set * rank,
        "C": 8 * 2 * 8 * 2,
        "D": 8,
        "log_dt": 8,
    }
    assert not any(p.is_complex() for p in mixer.parameters())


def test_published_rates_of_system_and_steps_can_be_had() -> None:
    groups = S4(ssm_lr=5e-4, dt_lr=0.01).parameter_groups()
    assert {groups[name].lr for name in ("A_re", "A_im", "P", "B")} == {5e-4}
    assert groups["log_dt"].lr == 0.01
    with pytest.raises(SpecError, match="must not be negative"):
        S4(dt_lr=-1.0)


def test_the_system_trains_apart_without_decay_and_c_does_not() -> None:
    recipe = S4()
    apart = recipe.parameter_groups()
    system = {name: apart.pop(name) for name in ("A_re", "A_im", "P", "B", "log_dt")}
    assert {(group.lr, group.weight_decay) for group in system.values()} == {(1e-3, 0.0)}
    assert apart == {"D": ParameterGroup(weight_decay=None)}
    assert recipe.lr == 0.01
    assert {name for name, _ in built(recipe).named_parameters()} - set(system) == {"C", "D"}


def test_step_sizes_are_drawn_log_uniformly_in_their_range() -> None:
    log_dt = built(S4(state=2, n_ssm=1), width=4096).log_dt
    low, high = math.log(1e-3), math.log(1e-1)
    assert low <= log_dt.min()
    assert log_dt.max() <= high
    counts = torch.histc(log_dt, 4, low, high) / 4096
    assert (counts - 0.25).abs().max() < 0.05


def test_c_has_unit_variance() -> None:
    C = built(S4(n_ssm=1), width=256, causal=False).C
    assert C.shape == (256, 2, 32, 2)
    assert C.square().sum(-1).mean().item() == pytest.approx(1, rel=0.03)


def test_mixed_sets_start_from_two_bases_in_turn() -> None:
    mixer = built(S4(state=8, init="legs-fout", n_ssm=4))
    for number, basis in enumerate(("legs", "fout", "legs", "fout")):
        expected = hippo.diagonal(basis, 8)
        torch.testing.assert_close(mixer.A_im[number], expected.pole.imag.float())
        torch.testing.assert_close(
            torch.view_as_complex(mixer.P[number]), expected.P.to(torch.complex64)
        )


@pytest.mark.parametrize("init", ["legs", "fout"])
def test_poles_start_where_the_basis_has_them_or_just_left_of_the_axis(init: str) -> None:
    mixer = built(S4(state=8, init=init))
    decay = 0.5 if init == "legs" else 1e-4
    torch.testing.assert_close(mixer.A_re.exp(), torch.full((4, 4), decay))


@pytest.mark.parametrize(
    "options",
    [
        {"state": 7},
        {"state": 0},
        {"dt_min": 0.0},
        {"dt_min": 1.0},
        {"n_ssm": -1},
        {"n_ssm": 3, "init": "legs-fout"},
    ],
)
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        S4(**options)


def test_sets_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(SpecError, match="divide"):
        built(S4(n_ssm=3))
