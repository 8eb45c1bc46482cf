"""The DeltaNets: options, initial values, counts and optimiser groups."""

import math

import pytest
import torch
from torch import nn

from baselines.deltanet import DeltaNet
from baselines.gated_deltanet import GatedDeltaNet
from baselines.gated_deltaproduct import GatedDeltaProduct
from baselines.kda import KDA
from harness.api import Model, Protocol, SpecError, UnsupportedError
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.testing import features_task
from harness.training.loop import optimizer_groups

ALL = [DeltaNet(), GatedDeltaNet(), GatedDeltaProduct(), KDA()]
D = 16


def count(recipe: Model) -> int:
    return sum(p.numel() for p in recipe.build(width=D, length=8, causal=True).parameters())


@pytest.mark.parametrize(
    ("recipe", "decay", "gate", "keys", "values"),
    [
        (DeltaNet(heads=4), 0, 0, D, D),
        (DeltaNet(heads=4, gate=True), 0, D * D, D, D),
        (GatedDeltaNet(heads=4), (D + 2) * 4, 2 * D * D, D, 2 * D),
        (GatedDeltaProduct(heads=4, steps=3), (D + 2) * 4, 2 * D * D, 3 * D, 6 * D),
        (KDA(heads=4), 2 * D * 4 + 4 + D, 2 * D * 4 + D, D, D),
    ],
    ids=str,
)
def test_a_layer_counts_its_projections_taps_and_gates(
    recipe: Model, decay: int, gate: int, keys: int, values: int
) -> None:
    steps = keys // D
    mixed, betas, norm = (D + 4) * (D + keys + values), D * 4 * steps, values // steps // 4
    assert count(recipe) == mixed + betas + decay + gate + norm + values // steps * D


def test_decays_and_step_sizes_are_drawn_in_the_papers_ranges() -> None:
    with scope("init"):
        layer = GatedDeltaNet(heads=2048).build(width=2048, length=8, causal=True)
        fine = KDA(heads=2048).build(width=2048, length=8, causal=True)
    assert (torch.histc(layer.decay.A_log.exp(), 4, 0, 16) / 2048 - 0.25).abs().max() < 0.04
    dt = nn.functional.softplus(layer.decay.dt_bias).log()
    low, high = math.log(1e-3), math.log(1e-1)
    assert (torch.histc(dt, 4, low, high) / 2048 - 0.25).abs().max() < 0.04
    assert (torch.histc(fine.decay.A_log.exp(), 5, 1, 16) / 2048 - 0.2).abs().max() < 0.04
    assert not fine.decay.dt_bias.any()


@pytest.mark.parametrize("recipe", ALL, ids=str)
def test_what_sets_the_decays_does_not_decay(recipe: Model) -> None:
    network = recipe.assemble(Backbone, features_task(causal=True), D, 2, 0.0)
    groups = optimizer_groups(network, recipe, Protocol(weight_decay=0.1))
    of = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    found = {name.rpartition(".")[2]: of[id(p)] for name, p in network.named_parameters()}
    assert {found[name] for name in ("A_log", "dt_bias") if name in found} <= {0}
    assert found["conv"] == 0.1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, {"heads": 0}) for kind in (DeltaNet, GatedDeltaNet, GatedDeltaProduct, KDA)),
        (GatedDeltaNet, {"expand_v": 0}),
        (GatedDeltaProduct, {"expand_v": -1}),
        (GatedDeltaProduct, {"steps": 0}),
    ],
)
def test_impossible_options_are_refused(kind: type[Model], options: dict) -> None:
    with pytest.raises(SpecError, match="positive"):
        kind(**options)


@pytest.mark.parametrize("recipe", ALL, ids=str)
def test_a_width_that_does_not_divide_is_refused(recipe: Model) -> None:
    with pytest.raises(SpecError, match="divide"):
        recipe.build(width=9, length=8, causal=True)


@pytest.mark.parametrize("recipe", ALL, ids=str)
def test_a_layer_that_sees_the_future_has_no_step_mode(recipe: Model) -> None:
    mixer = recipe.build(width=8, length=8, causal=False)
    for ask in (lambda: mixer.initial_state(1), lambda: mixer.state_bytes(8)):
        with pytest.raises(UnsupportedError, match="future"):
            ask()
