"""The recipe of DSS: options, initial values and groups."""

import math

import pytest
import torch

from baselines.dss import DSS, initial_frequencies
from harness.api import ParameterGroup, SpecError
from harness.core.seeding import scope


def test_hippo_frequencies_are_the_largest_of_the_skew_matrix_as_the_code_writes_it() -> None:
    root = (2 * torch.arange(12, dtype=torch.float64) + 1).sqrt()
    lower = torch.outer(root, root).tril(-1)
    eigenvalues = torch.linalg.eigvals((lower - lower.mT) / 2).imag.sort().values
    torch.testing.assert_close(initial_frequencies("hippo", 6).sort().values, eigenvalues[6:])


def test_the_other_frequencies_are_linear_or_normal() -> None:
    torch.testing.assert_close(initial_frequencies("lin", 3), torch.tensor([0, 1, 2]) * math.pi)
    with scope("init"):
        drawn = initial_frequencies("randn", 10_000)
    assert drawn.mean().item() == pytest.approx(0, abs=0.03)
    assert drawn.std().item() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("form", ["exp", "softmax"])
def test_every_mode_starts_with_half_a_decay_and_unit_weights(form: str) -> None:
    with scope("init"):
        layer = DSS(form=form).build(width=512, length=8, causal=False)
    real = -layer.A_re.exp() if form == "exp" else layer.A_re
    torch.testing.assert_close(real, torch.full((64,), -0.5))
    assert layer.W.shape == (512, 2, 64, 2)
    assert layer.W.std().item() == pytest.approx(1, rel=0.03)
    low, high = math.log(1e-3), math.log(1e-1)
    counts = torch.histc(layer.log_dt, 4, low, high) / 512
    assert (counts - 0.25).abs().max() < 0.1


def test_parameters_count_as_shared_poles_and_own_steps() -> None:
    layer = DSS(state=64).build(width=128, length=8, causal=False)
    assert sum(p.numel() for p in layer.parameters()) == 2 * 64 + 128 + 128 + 2 * 128 * 64 * 2
    assert not any(p.is_complex() for p in layer.parameters())


def test_published_rates_of_system_and_steps_can_be_had() -> None:
    groups = DSS(ssm_lr=1e-4, dt_lr=0.02).parameter_groups()
    assert {groups[name].lr for name in ("A_re", "A_im", "W")} == {1e-4}
    assert groups["log_dt"].lr == 0.02
    with pytest.raises(SpecError, match="must not be negative"):
        DSS(ssm_lr=-1.0)


def test_the_system_trains_apart_without_decay() -> None:
    names = {name for name, _ in DSS().build(width=4, length=8, causal=True).named_parameters()}
    groups = dict(DSS().parameter_groups())
    assert set(groups) == names
    assert groups.pop("D") == ParameterGroup(weight_decay=None)
    assert {(group.lr, group.weight_decay) for group in groups.values()} == {(1e-3, 0.0)}


@pytest.mark.parametrize("options", [{"state": 0}, {"dt_min": 0.0}, {"dt_min": 1.0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        DSS(**options)


def test_the_form_whose_modes_all_decay_exports() -> None:
    layer, u = DSS(form="exp").build(width=4, length=8, causal=True), torch.randn(2, 8, 4)
    exported = torch.export.export(layer.requires_grad_(requires_grad=False), (u,))
    torch.testing.assert_close(exported.module()(u), layer(u))
