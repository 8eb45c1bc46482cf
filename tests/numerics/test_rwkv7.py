"""RWKV-7: the layer is its paper's recurrence, and layers behind the first see its values."""

import copy

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.rwkv7 import RWKV7, RWKV7Layer
from harness.api import Network, SpecError, UnsupportedError
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.testing import features_task

WIDTH, HEAD = 8, 4
RECIPE = RWKV7(head_dim=HEAD)


def layers(depth: int, *, causal: bool = True) -> list[RWKV7Layer]:
    """Build float64 layers whose parameters are not as they begin."""
    with scope("layers"):
        made = RECIPE.stack(depth=depth, width=WIDTH, length=8, causal=causal)
        with torch.no_grad():
            for parameter in (each for layer in made for each in layer.double().parameters()):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return list(made)


def network(*, causal: bool = True) -> Network:
    with scope("network"):
        made = RECIPE.assemble(Backbone, features_task(causal), WIDTH, 3, 0.0).double().eval()
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("u", length), dtype=torch.float64)


def walked(layer: RWKV7Layer, u: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
    """Do what the paper says, position by position; returns the outputs and the values."""
    S, before = u.new_zeros(len(u), WIDTH // HEAD, HEAD, HEAD), torch.zeros_like(u[:, 0])
    outputs, values = [], []
    for t in range(u.shape[1]):
        x = u[:, t]
        r_x, w_x, k_x, v_x, a_x, g_x = (x + (before - x) * share for share in layer.shift)
        r, k, v = (m.weight for m in (layer.r_proj, layer.k_proj, layer.v_proj))
        r, k, v = r_x @ r.T, k_x @ k.T, v_x @ v.T
        if first is not None:
            v = v + (first[:, t] - v) * torch.sigmoid(layer.v_lora(v_x))
        w = (-torch.exp(torch.tensor(-0.5)).double() * torch.sigmoid(layer.w_lora(w_x))).exp()
        alpha = torch.sigmoid(layer.a_lora(a_x))
        kappa, k = (k * layer.k_k).unflatten(-1, (-1, HEAD)), k * (1 + (alpha - 1) * layer.k_a)
        kappa = kappa / (kappa.square().sum(-1, keepdim=True) + 1e-6).sqrt()
        r, w, k, values_t, alpha = (p.unflatten(-1, (-1, HEAD)) for p in (r, w, k, v, alpha))
        # Rows are values here, as in the paper.
        transition = torch.diag_embed(w) - kappa[..., :, None] * (alpha * kappa)[..., None, :]
        S = S @ transition + values_t[..., :, None] * k[..., None, :]
        y = (S @ r[..., None])[..., 0].flatten(-2)
        y = F.group_norm(y, WIDTH // HEAD, layer.norm.weight, layer.norm.bias, HEAD * 1e-5)
        bonus = ((r * k * layer.r_k).sum(-1, keepdim=True) * values_t).flatten(-2)
        outputs.append((y + bonus) * layer.g_lora(g_x) @ layer.out_proj.weight.T)
        values.append(v)
        before = x
    return torch.stack(outputs, 1), torch.stack(values, 1)


@pytest.mark.parametrize("length", [1, 7, 70])
def test_layers_equal_the_papers_recurrence_with_the_first_ones_values(length: int) -> None:
    first, second, third = layers(3)
    u = features(length)
    expected, values = walked(first, u, None)
    torch.testing.assert_close(first(u), expected)
    torch.testing.assert_close(second(u), walked(second, u, values)[0])
    torch.testing.assert_close(third(u), walked(third, u, values)[0])


def test_both_directions_are_added_each_with_values_of_its_own() -> None:
    first, second = layers(2, causal=False)
    u = features(9)
    there, values = walked(first, u, None)
    back, reversed_values = walked(first, u.flip(1), None)
    torch.testing.assert_close(first(u), there + back.flip(1))
    y = walked(second, u, values)[0] + walked(second, u.flip(1), reversed_values)[0].flip(1)
    torch.testing.assert_close(second(u), y)


@torch.no_grad()
def test_the_networks_steps_and_pieces_continue_the_sequence() -> None:
    whole_network, u = network(), features(9)
    whole = whole_network(u)
    before, state = whole_network.advance(u[:, :4], whole_network.initial_state(2))
    after, _ = whole_network.advance(u[:, 4:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), whole)
    state = whole_network.prefill(u[:, :4])
    for position in range(4, 9):
        y, state = whole_network.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@pytest.mark.parametrize("causal", [True, False])
def test_padding_reaches_no_valid_position(causal: bool) -> None:
    padded, u = network(causal=causal), features(9)
    y = padded(u, torch.tensor([9, 4]))
    torch.testing.assert_close(y[1:, :4], padded(u[1:, :4]))


def test_gradients_reach_the_first_layers_values_from_every_layer() -> None:
    first, second = layers(2)
    u = features(5)
    first(u)
    second(u).sum().backward()
    assert first.v_proj.weight.grad.any()
    assert torch.autograd.gradcheck(
        lambda u: first(u) + second(u), features(5).requires_grad_(), fast_mode=True
    )


def test_nothing_is_held_after_a_pass_and_a_copy_shares_with_itself_only() -> None:
    made, u = network(), features(5)
    made(u)
    made.prefill(u)
    holders = {id(block.mixer.first): block.mixer.first for block in made.blocks}
    assert [each.held for each in holders.values()] == [{}]
    twin = copy.deepcopy(made)
    copied = {id(block.mixer.first) for block in twin.blocks}
    assert len(copied) == 1
    assert copied.isdisjoint(holders)
    torch.testing.assert_close(twin(u), made(u))


def test_a_layer_out_of_order_is_told_what_it_needs() -> None:
    with pytest.raises(UnsupportedError, match="run the layers in order"):
        layers(2)[1](features(5))


def test_what_does_not_divide_is_refused() -> None:
    with pytest.raises(SpecError, match="positive"):
        RWKV7(head_dim=0)
    with pytest.raises(SpecError, match="divide"):
        RWKV7(head_dim=4).build(width=6, length=8, causal=True)


def test_initial_values_are_those_of_the_released_layer() -> None:
    first, second = RECIPE.stack(depth=2, width=WIDTH, length=8, causal=True)
    assert not any(each.out_proj.weight.any() for each in (first, second))
    assert first.v_lora is None
    position = torch.arange(WIDTH)
    torch.testing.assert_close(first.k_k, 0.71 - 0.1 * (position / (WIDTH - 1) - 0.5))
    torch.testing.assert_close(second.shift[1], 1 - (position / WIDTH) ** 0.45)
    torch.testing.assert_close(second.norm.weight, torch.ones(WIDTH))
    torch.testing.assert_close(first.norm.weight, torch.full((WIDTH,), 0.5**0.7))
    weight = second.r_proj.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(WIDTH), atol=1e-5, rtol=0)
