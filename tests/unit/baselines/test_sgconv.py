"""The recipe of SGConv: options, initial values, counts, optimiser groups."""

import pytest
import torch

from baselines.sgconv import SGConv, SGConvLayer
from harness.api import ParameterGroup, SpecError
from harness.core.seeding import scope


def built(recipe: SGConv, *, width: int, length: int, causal: bool = True) -> SGConvLayer:
    with scope("init"):
        return recipe.build(width=width, length=length, causal=causal)


@pytest.mark.parametrize(("length", "pieces"), [(1, 1), (64, 1), (65, 2), (1024, 5), (16_384, 9)])
@pytest.mark.parametrize("causal", [True, False])
def test_parameters_grow_with_the_logarithm_of_the_length(
    length: int, pieces: int, causal: bool
) -> None:
    layer = built(SGConv(), width=8, length=length, causal=causal)
    sizes = {name: p.numel() for name, p in layer.named_parameters()}
    assert sizes == {"pieces": pieces * 8 * (1 if causal else 2) * 64, "D": 8}


def test_pieces_and_skip_start_standard_normal() -> None:
    layer = built(SGConv(), width=256, length=256)
    assert layer.pieces.mean().item() == pytest.approx(0, abs=0.02)
    assert layer.pieces.std().item() == pytest.approx(1, rel=0.02)
    assert layer.D.std().item() == pytest.approx(1, rel=0.15)


def test_channels_fade_at_rates_spread_evenly_and_untrained() -> None:
    layer = built(SGConv(decay_min=1.0, decay_max=3.0), width=5, length=64)
    torch.testing.assert_close(layer.decay, torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0]))
    assert "decay" not in dict(layer.named_parameters())


def test_pieces_train_at_their_own_rate_with_the_protocols_decay() -> None:
    recipe = SGConv()
    assert recipe.parameter_groups() == {
        "pieces": ParameterGroup(lr=1e-3, weight_decay=None),
        "D": ParameterGroup(weight_decay=None),
    }
    assert recipe.lr == 0.01


@pytest.mark.parametrize(
    "options", [{"piece": 0}, {"decay_min": 0.0}, {"decay_min": 3.0, "decay_max": 2.0}]
)
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        SGConv(**options)
