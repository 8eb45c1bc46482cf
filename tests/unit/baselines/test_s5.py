"""S5's recipe: initial values, parameter counts, optimiser groups, options."""

import math

import pytest
import torch
from torch import Tensor

from baselines.s5 import S5, S5Layer, block_basis
from harness.api import ParameterGroup, SpecError
from harness.core.seeding import scope

SSM = ("Lambda_re", "Lambda_im", "log_step", "B", "C", "D")
SLOW, SLOW_DECAYED, USUAL = (
    ParameterGroup(lr=1e-3),
    ParameterGroup(lr=1e-3, weight_decay=None),
    ParameterGroup(weight_decay=None),
)
# Of Lambda (both parts), log_step, B, C, D, as train_helpers.py of lindermanlab/S5 sets them.
TABLE = {
    "standard": (SLOW, SLOW, SLOW, SLOW, USUAL, USUAL),
    "BandCdecay": (SLOW, SLOW, SLOW, SLOW_DECAYED, USUAL, USUAL),
    "BfastandCdecay": (SLOW, SLOW, SLOW, USUAL, USUAL, USUAL),
    "noBCdecay": (SLOW, SLOW, SLOW, SLOW, SLOW, SLOW),
}


def built(recipe: S5, width: int = 64, *, causal: bool = True) -> S5Layer:
    """Build a layer from a fixed stream."""
    with scope("init"):
        return recipe.build(width=width, length=8, causal=causal)


def legs(states: int) -> Tensor:
    """Write down HiPPO-LegS entry by entry."""
    A = torch.zeros(states, states, dtype=torch.float64)
    for n in range(states):
        for k in range(n):
            A[n, k] = -math.sqrt((2 * n + 1) * (2 * k + 1))
        A[n, n] = -(n + 1)
    return A


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_basis_diagonalises_blocks_of_hippo_n(blocks: int) -> None:
    size = 6
    p = (torch.arange(size, dtype=torch.float64) + 0.5).sqrt()
    normal = torch.block_diag(*[legs(size) + torch.outer(p, p)] * blocks).to(torch.complex128)
    full, half = (block_basis(blocks * size, blocks, half=half) for half in (False, True))
    identity = torch.eye(blocks * size, dtype=torch.complex128)
    torch.testing.assert_close(full.vectors.mH @ full.vectors, identity)
    torch.testing.assert_close(full.vectors * full.pole @ full.vectors.mH, normal)
    torch.testing.assert_close(normal @ half.vectors, half.vectors * half.pole)
    assert len(half.pole) == blocks * size // 2
    assert half.pole.imag.max() < 0


def test_the_layer_starts_at_the_blocks_eigenvalues() -> None:
    layer = built(S5(state=24, blocks=3))
    pole = block_basis(24, 3, half=True).pole.to(torch.complex64)
    torch.testing.assert_close(torch.complex(layer.Lambda_re, layer.Lambda_im), pole)


@pytest.mark.parametrize("symmetric", [True, False])
def test_b_is_real_with_variance_one_over_the_states_in_its_own_basis(symmetric: bool) -> None:
    layer = built(S5(state=128, conj_sym=symmetric), width=96)
    vectors = block_basis(128, 8, half=symmetric).vectors.to(torch.complex64)
    real = vectors @ torch.view_as_complex(layer.B.detach())
    if symmetric:
        real = 2 * real.real + 0j
    assert real.imag.abs().max() < 1e-5
    assert real.real.std().item() == pytest.approx(1 / math.sqrt(128), rel=0.03)
    assert real.real.abs().max() <= 2 / (0.8796 * math.sqrt(128)) * (1 + 1e-4)


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("lecun_normal", 2 / (128 * 96)),
        ("trunc_standard_normal", 2 / 128),
        ("complex_normal", 1.0),
    ],
)
def test_c_has_the_variance_of_its_initialiser(init: str, variance: float) -> None:
    layer = built(S5(state=128, c_init=init), width=96, causal=False)
    assert layer.C.shape == (2, 96, 64, 2)
    for C in layer.C:
        assert C.square().sum(-1).mean().item() == pytest.approx(variance, rel=0.05)
    assert not torch.equal(*layer.C)


def test_each_mode_draws_its_step_log_uniformly() -> None:
    log_step = built(S5(state=8192, blocks=1024, dt_min=1e-4), width=1).log_step
    low, high = math.log(1e-4), math.log(1e-1)
    assert low <= log_step.min()
    assert log_step.max() <= high
    counts = torch.histc(log_step, 4, low, high) / 4096
    assert (counts - 0.25).abs().max() < 0.05


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_layer_counts_the_papers_parameters(symmetric: bool, causal: bool) -> None:
    layer = built(S5(state=64, conj_sym=symmetric), width=48, causal=causal)
    P, H = 32 if symmetric else 64, 48
    Lambda, B, C, D, log_step = 2 * P, 2 * P * H, 2 * H * P * (1 if causal else 2), H, P
    assert sum(p.numel() for p in layer.parameters()) == Lambda + B + C + D + log_step
    assert not any(p.is_complex() for p in layer.parameters())


@pytest.mark.parametrize("dt_global", [False, True])
@pytest.mark.parametrize("optimiser", TABLE)
def test_the_groups_are_those_of_the_released_configurations(
    optimiser: str, dt_global: bool
) -> None:
    groups = S5(optimiser=optimiser, dt_global=dt_global).parameter_groups()
    expected = dict(zip(SSM, TABLE[optimiser], strict=True))
    if dt_global:
        expected["log_step"] = USUAL
    assert groups == expected
    assert {name for name, _ in built(S5()).named_parameters()} == set(groups)


def test_the_slow_rate_is_an_option() -> None:
    assert S5(ssm_lr=6e-4).parameter_groups()["B"] == ParameterGroup(lr=6e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"state": 0},
        {"state": 30},
        {"state": 24, "blocks": 8},
        {"blocks": 0},
        {"dt_min": 0.0},
        {"dt_min": 1.0},
        {"ssm_lr": 0.0},
    ],
)
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        S5(**options)


def test_blocks_of_odd_size_are_possible_without_symmetry() -> None:
    assert len(built(S5(state=24, conj_sym=False)).log_step) == 24
