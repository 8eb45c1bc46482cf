"""The DeltaNets: each layer is its paper's recurrence, whole, in pieces and step by step."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.deltanet import DeltaNet
from baselines.gated_deltanet import GatedDeltaNet
from baselines.gated_deltaproduct import GatedDeltaProduct
from baselines.kda import KDA
from baselines.ops.layers import matrix_layer
from baselines.ops.layers.delta_layer import DeltaLayer
from harness.api import Model
from harness.core.seeding import scope, stream

WIDTH, HEADS = 6, 2
HEAD = WIDTH // HEADS
RECIPES = [
    DeltaNet(heads=HEADS),
    DeltaNet(heads=HEADS, gate=True, negative=True),
    GatedDeltaNet(heads=HEADS),
    GatedDeltaNet(heads=HEADS, expand_v=1, negative=True),
    GatedDeltaProduct(heads=HEADS),
    GatedDeltaProduct(heads=HEADS, steps=3, negative=False),
    KDA(heads=HEADS),
    KDA(heads=HEADS, negative=True),
]


def layer(recipe: Model, *, causal: bool = True) -> DeltaLayer:
    """Build a float64 layer whose parameters are not as they begin."""
    with scope("layers"):
        mixer = recipe.build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("features", length), dtype=torch.float64)


def betas(mixer: DeltaLayer, recipe: Model, u: Tensor) -> Tensor:
    """Return (steps, b, l, h, 1) betas."""
    beta = torch.sigmoid(u @ mixer.beta_proj.weight.T) * (2 if recipe.negative else 1)
    return torch.stack(beta.chunk(getattr(recipe, "steps", 1), -1))[..., None]


def log_decays(mixer: DeltaLayer, recipe: Model, u: Tensor) -> Tensor:
    """Return the logarithms of the decays as each paper has them."""
    if isinstance(recipe, DeltaNet):
        return torch.zeros(*u.shape[:2], HEADS, 1, dtype=u.dtype)
    decay = mixer.decay
    if isinstance(recipe, KDA):
        proposed = (decay.proj(u) + decay.dt_bias.flatten()).exp().log1p()
        return -decay.A_log.exp() * proposed.unflatten(-1, (-1, HEAD))
    return -decay.A_log.exp()[:, None] * (decay.proj(u) + decay.dt_bias).exp().log1p()[..., None]


def walked(mixer: DeltaLayer, recipe: Model, u: Tensor) -> Tensor:
    """Do what the papers say, position by position, up to the norm."""
    steps, heads = getattr(recipe, "steps", 1), HEADS
    mixed = F.conv1d(
        F.pad((u @ mixer.in_proj.weight.T).mT, (3, 0)), mixer.conv[:, None], groups=len(mixer.conv)
    ).mT
    mixed = mixed * mixed.sigmoid()
    q, rest = mixed[..., :WIDTH], mixed[..., WIDTH:]
    keys, values = rest[..., : steps * WIDTH], rest[..., steps * WIDTH :]
    rows = (each.unflatten(-1, (heads, HEAD)) for each in (q, *keys.chunk(steps, -1)))
    # Near a length of zero, as the papers' kernels have it.
    q, *ks = (row / (row.square().sum(-1, keepdim=True) + 1e-6).sqrt() for row in rows)
    vs = [each.unflatten(-1, (heads, -1)) for each in values.chunk(steps, -1)]
    beta, decay = betas(mixer, recipe, u), log_decays(mixer, recipe, u).exp()
    S, outputs = u.new_zeros(len(u), heads, HEAD, vs[0].shape[-1]), []
    for t in range(u.shape[1]):
        S = decay[:, t, :, :, None] * S
        for k, v, b in zip(ks, vs, beta, strict=True):
            missing = b[:, t] * (v[:, t] - torch.einsum("bhk,bhkv->bhv", k[:, t], S))
            S = S + torch.einsum("bhk,bhv->bhkv", k[:, t], missing)
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S) / HEAD**0.5)
    return torch.stack(outputs, 1)


def mapped(mixer: DeltaLayer, recipe: Model, y: Tensor, u: Tensor) -> Tensor:
    """Norm each head's output by its root mean square, gate it and project it."""
    scale = (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    normed = (mixer.norm.weight * y / scale).flatten(-2)
    if mixer.gate is not None:
        gate = mixer.gate(u)
        normed = normed * gate.sigmoid() * (1 if isinstance(recipe, KDA) else gate)
    return normed @ mixer.out_proj.weight.T


@pytest.mark.parametrize("length", [1, 7, 70])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_layer_equals_its_papers_recurrence(recipe: Model, length: int) -> None:
    mixer, u = layer(recipe), features(length)
    expected = mapped(mixer, recipe, walked(mixer, recipe, u), u)
    torch.testing.assert_close(mixer(u), expected)


@pytest.mark.parametrize("recipe", RECIPES[::2], ids=str)
def test_both_directions_are_added_before_the_norm(recipe: Model) -> None:
    mixer, u = layer(recipe, causal=False), features(9)
    y = walked(mixer, recipe, u) + walked(mixer, recipe, u.flip(1)).flip(1)
    torch.testing.assert_close(mixer(u), mapped(mixer, recipe, y, u))


@pytest.mark.parametrize("length", [1, 67])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(
    recipe: Model, length: int
) -> None:
    mixer, u = layer(recipe), features(length + 3)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :length])
    torch.testing.assert_close(mixer.advance(u[:, length:], state)[0], whole[:, length:])
    for position in range(length, length + 3):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_pieces_that_keep_memory_low_without_a_gradient_are_not_seen(
    monkeypatch: pytest.MonkeyPatch, recipe: Model
) -> None:
    monkeypatch.setattr(matrix_layer, "PIECE", 2 * 13)
    mixer, u = layer(recipe), features(50)
    whole = mixer(u)
    with torch.no_grad():
        torch.testing.assert_close(mixer(u), whole.detach())


def test_padding_reaches_no_valid_position_from_behind() -> None:
    mixer, u = layer(RECIPES[2], causal=False), features(9)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_transition_has_the_eigenvalues_that_the_option_allows(recipe: Model) -> None:
    mixer = layer(recipe)
    beta = betas(mixer, recipe, 100 * features(50))
    assert beta.min() >= 0
    assert (1 - beta.max()).item() == pytest.approx(-1 if recipe.negative else 0, abs=1e-3)
