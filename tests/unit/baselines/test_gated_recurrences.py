"""Mamba-2, HGRN2, Gated SSM and Hawk: options, initial values, counts and optimiser groups."""

import math

import pytest
import torch
from torch import nn

from baselines.gated_ssm import GatedSSM
from baselines.hawk import Hawk
from baselines.hgrn2 import HGRN2
from baselines.mamba2 import Mamba2
from harness.api import Model, Protocol, SpecError, UnsupportedError
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.testing import features_task
from harness.training.loop import optimizer_groups

ALL = [Mamba2(), HGRN2(), GatedSSM(), Hawk()]


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def decays(recipe: Model) -> dict[str, float]:
    """Return the weight decay of each parameter, by the last part of its name."""
    network = recipe.assemble(Backbone, features_task(causal=True), 16, 2, 0.0)
    groups = optimizer_groups(network, recipe, Protocol(weight_decay=0.1))
    of = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    return {name.rpartition(".")[2]: of[id(p)] for name, p in network.named_parameters()}


@pytest.mark.parametrize(("width", "state", "bc_groups"), [(128, 64, 1), (96, 16, 3)])
def test_mamba2_counts_its_codes_parameters(width: int, state: int, bc_groups: int) -> None:
    recipe = Mamba2(state=state, bc_groups=bc_groups, head_dim=32)
    inner, heads, shared = 2 * width, 2 * width // 32, bc_groups * state
    convolved = inner + 2 * shared
    projected = width * (inner + convolved + heads)
    expected = projected + convolved * (4 + 1) + 3 * heads + inner + inner * width
    assert count(recipe.build(width=width, length=8, causal=False)) == expected


def test_hgrn2_counts_its_modules_and_one_matrix_of_bounds() -> None:
    d, depth = 32, 3
    layers = nn.ModuleList(HGRN2().stack(depth=depth, width=d, length=8, causal=True))
    assert count(layers) == depth * (3 * d * d + 3 * d + 2 * d + d * d + d) + depth * d
    assert count(HGRN2().build(width=d, length=8, causal=True)) == 4 * d * d + 6 * d


def test_the_gated_ssm_counts_five_matrices() -> None:
    layer = GatedSSM().build(width=2048, length=8, causal=True)
    assert layer.out.in_features == 2560
    assert count(layer) == 5 * 2048 * 2560


def test_hawk_counts_the_papers_block() -> None:
    d, s = 96, 128
    layer = Hawk().build(width=d, length=8, causal=True)
    assert count(layer) == 3 * d * s + 4 * s + 2 * (s * s // 16 + s) + s


def test_mamba2_draws_decays_and_step_sizes_in_the_papers_ranges() -> None:
    with scope("init"):
        layer = Mamba2(head_dim=1).build(width=2048, length=8, causal=True)
    assert (torch.histc(layer.A_log.exp(), 5, 1, 16) / 4096 - 0.2).abs().max() < 0.03
    dt = nn.functional.softplus(layer.dt_bias).log()
    low, high = math.log(1e-3), math.log(1e-1)
    assert (torch.histc(dt, 4, low, high) / 4096 - 0.25).abs().max() < 0.03
    assert torch.equal(layer.D, torch.ones(4096))


def test_hgrn2_starts_with_bounds_that_rise_evenly() -> None:
    layers = HGRN2().stack(depth=4, width=8, length=8, causal=True)
    for number, layer in enumerate(layers):
        torch.testing.assert_close(layer.lower_bound(), torch.full((8,), number / 4))


def test_hawk_draws_decays_and_gates_as_the_paper_says() -> None:
    with scope("init"):
        layer = Hawk(blocks=4, expand=1.0).build(width=1024, length=8, causal=True)
    decay = layer.Lambda.sigmoid() ** 8
    assert 0.9 <= decay.min() < 0.901
    assert 0.998 < decay.max() <= 0.9991
    assert decay.mean().item() == pytest.approx(0.9495, abs=0.002)
    for weight in (layer.W_a, layer.W_x):
        assert weight.std().item() == pytest.approx(1 / 16, rel=0.02)


def test_what_the_papers_exempt_does_not_decay() -> None:
    assert decays(GatedSSM())["W_f"] == 0
    assert decays(GatedSSM())["weight"] == 0.1
    assert decays(HGRN2())["bounds"] == 0
    mamba2 = decays(Mamba2())
    assert {mamba2[name] for name in ("A_log", "D", "dt_bias", "conv_bias")} == {0}
    assert mamba2["conv_weight"] == 0.1
    hawk = decays(Hawk())
    assert {hawk[name] for name in ("Lambda", "W_a", "W_x", "b_a", "b_x")} == {0}
    assert hawk["conv"] == 0.1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Mamba2, {"state": 0}),
        (Mamba2, {"expand": 0}),
        (Mamba2, {"head_dim": -1}),
        (Mamba2, {"bc_groups": 0}),
        (HGRN2, {"expand": 0}),
        (GatedSSM, {"expand": 0.0}),
        (Hawk, {"expand": -1.0}),
        (Hawk, {"blocks": 0}),
    ],
)
def test_impossible_options_are_refused(kind: type[Model], options: dict) -> None:
    with pytest.raises(SpecError, match="positive"):
        kind(**options)


@pytest.mark.parametrize("recipe", [Mamba2(head_dim=6), Mamba2(bc_groups=2), HGRN2(expand=3)])
def test_a_width_that_does_not_divide_is_refused(recipe: Model) -> None:
    with pytest.raises(SpecError, match="divide"):
        recipe.build(width=8, length=8, causal=True)


@pytest.mark.parametrize("recipe", ALL[:2], ids=str)
def test_a_layer_that_sees_the_future_has_no_step_mode(recipe: Model) -> None:
    mixer = recipe.build(width=8, length=8, causal=False)
    for ask in (lambda: mixer.initial_state(1), lambda: mixer.state_bytes(8)):
        with pytest.raises(UnsupportedError, match="future"):
            ask()


@pytest.mark.parametrize("recipe", ALL, ids=str)
def test_parameters_are_real(recipe: Model) -> None:
    layer = recipe.build(width=16, length=8, causal=True)
    assert not any(p.is_complex() for p in layer.parameters())
