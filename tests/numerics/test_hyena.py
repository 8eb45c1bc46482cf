"""Hyena: the layer is gates and direct sums, whole, in pieces and step by step."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.hyena import HIDDEN, Hyena, HyenaLayer
from baselines.ops.convolution.fft_convolution import direct_convolve
from harness.api import SpecError
from harness.core.seeding import scope, stream

WIDTH, LENGTH = 6, 90
RECIPES = [Hyena(), Hyena(order=3, bands=4)]


def layer(recipe: Hyena, *, causal: bool = True, length: int = LENGTH) -> HyenaLayer:
    """Build a float64 layer whose parameters are not as they begin."""
    with scope("layers"):
        mixer = recipe.build(width=WIDTH, length=length, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("u", length), dtype=torch.float64)


def taps(mixer: HyenaLayer, recipe: Hyena, length: int) -> Tensor:
    """Write the kernels tap by tap, as the paper's network of sines does."""
    rows = []
    for lag in range(length):
        angles = [
            2
            * math.pi
            * lag
            / LENGTH
            * (1e-4 + band * (recipe.bands - 1 - 1e-4) / (recipe.bands - 1))
            if recipe.bands > 1
            else 2 * math.pi * lag / LENGTH * 1e-4
            for band in range(recipe.bands)
        ]
        t = lag / (LENGTH - 1)
        inputs = [t, *map(math.cos, angles), *(-math.sin(angle) for angle in angles)]
        h = torch.tensor(inputs, dtype=torch.float64)
        for W, b in ((mixer.W1, mixer.b1), (mixer.W2, mixer.b2), (mixer.W3, mixer.b3)):
            h = torch.sin(mixer.freq * (W @ h + b))
        rows.append((mixer.W4 @ h).unflatten(0, mixer.kernels) * (-t * mixer.rates).exp()[:, None])
    return torch.stack(rows, -1)


def summed(mixer: HyenaLayer, recipe: Hyena, u: Tensor) -> Tensor:
    """Gate and convolve by direct sums."""
    mixed = F.pad(mixer.in_proj(u).mT, (2, 0))
    mixed = F.conv1d(mixed, mixer.short[:, None], mixer.short_bias, groups=len(mixer.short)).mT
    parts = mixed.split(WIDTH, -1)
    y, kernels = parts[-1], taps(mixer, recipe, u.shape[1])
    for number in range(recipe.order - 1):
        gate = parts[recipe.order - 1 - number]
        y = direct_convolve(y * gate, kernels[number], mixer.D[number])
    return mixer.out_proj(y * parts[0])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_layer_equals_its_direct_sums(recipe: Hyena, causal: bool) -> None:
    mixer, u = layer(recipe, causal=causal), features(70)
    torch.testing.assert_close(mixer(u), summed(mixer, recipe, u))


def test_kernels_fade_to_a_hundredth_between_a_third_and_one_and_a_half_lengths() -> None:
    rates = Hyena().build(width=WIDTH, length=LENGTH, causal=True).rates
    assert (-0.3 * rates[-1]).exp().item() == pytest.approx(0.01, rel=1e-4)
    assert (-1.5 * rates[0]).exp().item() == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("length", [1, 40])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(
    recipe: Hyena, length: int
) -> None:
    mixer, u = layer(recipe), features(length + 40)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :length])
    torch.testing.assert_close(mixer.advance(u[:, length:], state)[0], whole[:, length:])
    for position in range(length, length + 40):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@pytest.mark.parametrize("causal", [True, False])
def test_padding_reaches_no_valid_position(causal: bool) -> None:
    mixer, u = layer(RECIPES[1], causal=causal), features(20)
    y = mixer(u, torch.tensor([20, 5]))
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


def test_what_lies_further_back_than_the_length_is_not_seen() -> None:
    mixer, u = layer(RECIPES[0], length=8), features(30)
    changed = u.clone()
    changed[:, 5] += 1
    y, other = mixer(u), mixer(changed)
    # Two more for the short convolution.
    torch.testing.assert_close(other[:, 15:], y[:, 15:])
    assert not torch.allclose(other[:, 12], y[:, 12])


def test_a_layer_counts_its_maps_taps_and_kernels() -> None:
    d, order = WIDTH, 3
    mixer = Hyena(order=order, bands=2).build(width=d, length=8, causal=True)
    maps = d * (order + 1) * d + (order + 1) * d + d * d + d
    network = HIDDEN * (5 + 2 * HIDDEN) + 3 * HIDDEN + HIDDEN + (order - 1) * d * HIDDEN
    counted = sum(parameter.numel() for parameter in mixer.parameters())
    assert counted == maps + 4 * (order + 1) * d + network + (order - 1) * d


@pytest.mark.parametrize("options", [{"order": 1}, {"bands": 0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError, match="at least"):
        Hyena(**options)
