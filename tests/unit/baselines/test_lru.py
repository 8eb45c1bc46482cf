"""LRU's recipe: initial values, parameter counts, optimiser groups, options."""

import math

import pytest
import torch

from baselines.lru import LRU, LRULayer
from harness.api import ParameterGroup, SpecError
from harness.core.seeding import scope


def built(recipe: LRU, width: int = 16, *, causal: bool = True) -> LRULayer:
    """Build a layer from a fixed stream."""
    with scope("init"):
        return recipe.build(width=width, length=8, causal=causal)


def test_poles_start_uniformly_on_their_ring() -> None:
    layer = built(LRU(state=8192, r_min=0.5, r_max=0.9, max_phase=math.pi / 10), width=1)
    pole = layer.system().pole.detach()
    size = pole.abs()
    assert size.min() >= 0.5
    assert size.max() <= 0.9
    # A ring's area grows with the square of its radius.
    for values, low, high in ((size**2, 0.25, 0.81), (pole.angle(), 0.0, math.pi / 10)):
        counts = torch.histc(values, 4, low, high) / 8192
        assert (counts - 0.25).abs().max() < 0.02


def test_the_default_ring_is_the_unit_disk() -> None:
    layer = built(LRU(state=4096), width=1)
    size = layer.system().pole.detach().abs()
    assert size.square().mean().item() == pytest.approx(0.5, abs=0.02)
    assert all(p.isfinite().all() for p in layer.parameters())


def test_gamma_normalises_at_the_start() -> None:
    layer = built(LRU(state=64, r_min=0.9, r_max=0.999))
    size = layer.system().pole.detach().abs()
    expected = (1 - size**2).sqrt().float()
    torch.testing.assert_close(layer.gamma_log.exp(), expected, rtol=1e-3, atol=0)


def test_b_and_c_have_glorots_scales() -> None:
    layer = built(LRU(state=256), width=128, causal=False)
    assert layer.B.shape == (256, 128, 2)
    assert layer.C.shape == (2, 128, 256, 2)
    assert layer.B.std().item() == pytest.approx(1 / math.sqrt(2 * 128), rel=0.02)
    assert layer.C.std().item() == pytest.approx(1 / math.sqrt(256), rel=0.02)


@pytest.mark.parametrize("causal", [True, False])
def test_the_layer_counts_the_papers_parameters(causal: bool) -> None:
    layer = built(LRU(state=256), width=128, causal=causal)
    N, H = 256, 128
    assert sum(p.numel() for p in layer.parameters()) == (
        3 * N + 2 * N * H + 2 * H * N * (1 if causal else 2) + H
    )
    assert not any(p.is_complex() for p in layer.parameters())


def test_poles_b_and_gamma_train_slowly_and_alone_do_not_decay() -> None:
    groups = LRU(lr_factor=0.5).parameter_groups()
    slow = dict.fromkeys(("nu_log", "theta_log", "gamma_log", "B"), ParameterGroup(lr=5e-4))
    assert groups == {**slow, "D": ParameterGroup(weight_decay=None)}
    assert set(groups) | {"C"} == {name for name, _ in built(LRU()).named_parameters()}


@pytest.mark.parametrize(
    "options",
    [
        {"state": 0},
        {"r_min": -0.1},
        {"r_min": 0.9, "r_max": 0.9},
        {"r_max": 1.1},
        {"max_phase": 0.0},
        {"lr_factor": 0.0},
    ],
)
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        LRU(**options)
