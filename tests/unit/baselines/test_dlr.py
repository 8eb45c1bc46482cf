"""The recipe of DLR: options, initial values and groups."""

import math

import pytest
import torch

from baselines.dlr import DLR
from harness.api import SpecError
from harness.core.config import Protocol
from harness.core.seeding import scope
from harness.training.loop import optimizer_groups


def test_it_starts_at_decaying_roots_of_unity() -> None:
    with scope("init"):
        layer = DLR(state=512).build(width=8, length=8, causal=True)
    twice = 2 * layer.r.square()
    assert 0.99e-4 < twice.min() < 2e-4
    assert 0.05 < twice.max() < 1.01e-1
    counts = torch.histc(twice.log(), 4, math.log(1e-4), math.log(1e-1)) / 512
    assert (counts - 0.25).abs().max() < 0.1
    torch.testing.assert_close(layer.theta.diff(), torch.full((511,), 2 * math.pi / 512))
    assert layer.W.std().item() == pytest.approx(1 / 512, rel=0.05)


def test_phases_can_start_normal() -> None:
    with scope("init"):
        layer = DLR(state=4096, init="randn").build(width=1, length=8, causal=True)
    assert layer.theta.std().item() == pytest.approx(1, rel=0.05)


def test_the_first_taps_have_the_papers_size() -> None:
    with scope("init"):
        layer = DLR(state=1024).build(width=64, length=8, causal=True)
    assert layer.kernel(8).std().item() == pytest.approx(1024**-0.5, rel=0.1)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("complex", {"D", "r", "theta", "W"}),
        ("phase", {"D", "theta", "W"}),
        ("phase-real", {"D", "theta", "W"}),
        ("decay-real", {"D", "r", "W"}),
    ],
)
def test_a_form_has_the_parameters_that_it_needs(form: str, names: set[str]) -> None:
    layer = DLR(state=6, form=form).build(width=4, length=8, causal=False)
    assert {name for name, _ in layer.named_parameters()} == names
    weights = 4 * 2 * 6 * (2 if form in {"complex", "phase"} else 1)
    own = sum(p.numel() for name, p in layer.named_parameters() if name in {"r", "theta"})
    assert layer.W.numel() == weights
    assert own == 6 * len(names & {"r", "theta"})
    assert not any(p.is_complex() for p in layer.parameters())


def test_the_system_trains_at_the_global_rate_and_only_the_skip_decays() -> None:
    recipe = DLR(state=6)
    layer = recipe.build(width=4, length=8, causal=True)
    groups = optimizer_groups(layer, recipe, Protocol(weight_decay=0.05))
    assert {group["lr"] for group in groups} == {recipe.lr}
    decaying = [p for group in groups if group["weight_decay"] for p in group["params"]]
    assert [p is layer.D for p in decaying] == [True]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"state": 0}, "state must be positive"),
        ({"dt_min": 0.0}, "0 < dt_min <= dt_max must hold"),
        ({"dt_min": 1.0}, "0 < dt_min <= dt_max must hold"),
        ({"form": "decay-real", "kernel": "imag"}, "use kernel=real"),
        ({"form": "decay-real", "init": "randn"}, "leave init alone"),
        ({"form": "phase", "dt_min": 1e-3}, "leave dt_min and dt_max alone"),
        ({"form": "phase-real", "dt_max": 0.2}, "leave dt_min and dt_max alone"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(options: dict, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        DLR(**options)
