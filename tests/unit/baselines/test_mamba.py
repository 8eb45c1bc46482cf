"""Mamba's recipe: sizes, initial values, options, and what trains apart."""

import math

import pytest
import torch
from torch.nn import functional as F

from baselines.mamba import Mamba
from baselines.ops.layers.mamba_layer import MambaLayer, SelectionForm
from harness.api import SpecError, UnsupportedError
from harness.core.seeding import scope, stream


def built(recipe: Mamba, width: int = 32, causal: bool = True) -> MambaLayer:
    with scope("init"):
        return recipe.build(width=width, length=64, causal=causal)


def count(layer: MambaLayer) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


@pytest.mark.parametrize("width", [24, 128])
def test_it_counts_the_parameters_of_the_papers_block(width: int) -> None:
    d, D, N, K, R = width, 2 * width, 16, 4, math.ceil(width / 16)
    projections = d * 2 * D + D * d
    selection = (K + 1) * D + D * (R + 2 * N) + (R + 1) * D + D * N + D
    assert count(built(Mamba(), width)) == projections + selection
    assert count(built(Mamba(), width, causal=False)) == projections + 2 * selection


def test_its_projections_are_three_times_expand_times_the_squared_width() -> None:
    layer = built(Mamba(), 256)
    projections = layer.in_proj.weight.numel() + layer.out_proj.weight.numel()
    assert projections == 3 * 2 * 256**2
    assert 1 < count(layer) / projections < 1.2


def test_step_sizes_start_log_uniform_through_the_inverse_softplus() -> None:
    layer = built(Mamba(dt_min=1e-3, dt_max=1e-1), 2048)
    dt = F.softplus(layer.selection.dt_bias.double())
    assert 0.999e-3 < dt.min() < 1.1e-3
    assert 0.9e-1 < dt.max() < 1.001e-1
    counts = torch.histc(dt.log(), 4, math.log(1e-3), math.log(1e-1)) / len(dt)
    assert (counts - 0.25).abs().max() < 0.05


def test_no_step_size_starts_below_the_authors_floor() -> None:
    dt = F.softplus(built(Mamba(dt_min=1e-6, dt_max=1e-3), 512).selection.dt_bias.double())
    assert dt.min().item() == pytest.approx(1e-4, rel=1e-3)


def test_the_map_to_step_sizes_starts_uniform_within_its_rank_to_the_minus_half() -> None:
    weight = built(Mamba(dt_rank=9), 256).selection.dt_proj
    assert weight.shape == (512, 9)
    assert 0.99 / 3 < weight.abs().max() <= 1 / 3
    assert weight.std().item() == pytest.approx(1 / 3 / math.sqrt(3), rel=0.03)


def test_poles_start_at_the_whole_numbers_and_the_skip_at_one() -> None:
    selection = built(Mamba(state=5)).selection
    torch.testing.assert_close(-selection.A_log.exp(), -torch.arange(1.0, 6).repeat(64, 1))
    assert selection.D.equal(torch.ones(64))


def test_poles_and_skip_do_not_decay_and_have_the_recipes_rate() -> None:
    groups = Mamba().parameter_groups()
    names = {name.rpartition(".")[2] for name, _ in built(Mamba()).named_parameters()}
    assert set(groups) == {"A_log", "D"}
    assert set(groups) < names
    assert {(group.lr, group.weight_decay) for group in groups.values()} == {(None, 0.0)}


@pytest.mark.parametrize("selects", [(d, b, c) for d in (0, 1) for b in (0, 1) for c in (0, 1)])
def test_what_is_not_selected_is_a_parameter_that_no_input_moves(selects: tuple) -> None:
    d, b, c = map(bool, selects)
    layer = built(Mamba(select_dt=d, select_b=b, select_c=c))
    selection = layer.selection
    shapes = {name: tuple(p.shape) for name, p in selection.named_parameters()}
    assert ("dt_proj" in shapes) == d
    assert (shapes.get("B") == (64, 16)) == (not b)
    assert (shapes.get("C") == (64, 16)) == (not c)
    assert (0 if selection.x_proj is None else len(selection.x_proj.weight)) == 2 * d + 16 * (b + c)
    one, other = torch.randn(2, 64, generator=stream("x")).unbind()
    for moved, first, second in zip(
        (d, b, c), selection.selected(one), selection.selected(other), strict=True
    ):
        assert first.equal(second) == (not moved)


def test_without_any_selection_the_layer_before_its_gate_is_linear_and_time_invariant() -> None:
    layer = built(Mamba(select_dt=False, select_b=False, select_c=False, conv=1)).double()
    layer.selection.conv.bias.data.zero_()
    x = torch.randn(1, 12, 64, generator=stream("x"), dtype=torch.float64)
    system = layer.selection
    dt, A = F.softplus(system.dt_bias), -system.A_log.exp()
    kernel = torch.stack(
        [
            ((dt[:, None] * A * k).exp() * dt[:, None] * system.B * system.C).sum(-1)
            for k in range(12)
        ]
    )
    seen = F.silu(x * system.conv.weight[:, 0, 0])
    y, _ = system(x)
    for t in range(12):
        convolved = sum(kernel[k] * seen[:, t - k] for k in range(t + 1))
        torch.testing.assert_close(y[:, t], convolved + system.D * seen[:, t])


def test_jambas_norms_keep_delta_b_and_c_at_unit_scale() -> None:
    with scope("init"):
        layer = MambaLayer(SelectionForm(normed=True), 32, causal=True)
    assert [tuple(norm.weight.shape) for norm in layer.selection.norms] == [(2,), (16,), (16,)]
    x = torch.randn(3, 64, generator=stream("x"))
    for scale in (1, 100):
        _, B, C = layer.selection.selected(scale * x)
        for part in (B, C):
            torch.testing.assert_close(part.square().mean(-1), torch.ones(3), rtol=1e-3, atol=0)


def test_it_needs_no_more_memory_for_generation_after_more_positions() -> None:
    layer = built(Mamba(), 128)
    assert layer.state_bytes(1) == layer.state_bytes(10**6) == 4 * 256 * (3 + 16)


def test_a_bidirectional_layer_has_no_steps() -> None:
    with pytest.raises(UnsupportedError, match="sees the future"):
        built(Mamba(), causal=False).initial_state(1)


def test_it_follows_no_other_sampling_rate() -> None:
    layer = built(Mamba())
    layer.resample(1.0)
    with pytest.raises(UnsupportedError, match="counts samples"):
        layer.resample(2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state": 0}, "state must be positive, not 0"),
        ({"expand": 0}, "expand must be positive, not 0"),
        ({"conv": 0}, "conv must be positive, not 0"),
        ({"dt_rank": -1}, "dt_rank must be positive"),
        ({"dt_rank": 4, "select_dt": False}, "leave dt_rank alone"),
        ({"dt_min": 0.5}, "0 < dt_min <= dt_max must hold, not 0.5, 0.1"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(options: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Mamba(**options)
