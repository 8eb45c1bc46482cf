"""Jamba: where attention sits, experts against their twin, and the whole network in pieces."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.jamba import Experts, Jamba, naive_experts
from baselines.ops.layers.attention_layer import AttentionLayer
from harness.api import Network, SpecError, tensor_bytes
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.testing import features_task


def network(recipe: Jamba, *, causal: bool = True, depth: int = 4) -> Network:
    with scope("network"):
        return recipe.assemble(Backbone, features_task(causal), 8, depth, 0.0).double().eval()


@pytest.mark.parametrize(
    ("depth", "expected"), [(1, []), (2, [1]), (4, [2]), (7, [3]), (8, [4]), (16, [4, 12])]
)
def test_one_layer_of_eight_or_of_fewer_is_attention(depth: int, expected: list[int]) -> None:
    layers = Jamba().stack(depth=depth, width=8, length=4, causal=True)
    assert len(layers) == depth
    assert [n for n, layer in enumerate(layers) if isinstance(layer, AttentionLayer)] == expected


@given(count=st.integers(1, 5), top=st.integers(1, 5), length=st.integers(1, 9))
def test_chosen_experts_equal_all_of_them_masked_and_their_gradients(
    count: int, top: int, length: int
) -> None:
    with scope("experts"):
        layer = Experts(4, 6, count, min(top, count)).double()
    x = torch.randn(2, length, 4, generator=stream("x"), dtype=torch.float64, requires_grad=True)
    leaves = [x, *layer.parameters()]
    direction = torch.randn(x.shape, generator=stream("to"), dtype=torch.float64)
    found, expected = layer(x), naive_experts(layer, x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad((found * direction).sum(), leaves),
        torch.autograd.grad((expected * direction).sum(), leaves, materialize_grads=True),
    )


@pytest.mark.parametrize("recipe", [Jamba(), Jamba(experts=3, kv_heads=2)], ids=str)
@torch.no_grad()
def test_the_networks_steps_and_pieces_continue_the_sequence(recipe: Jamba) -> None:
    whole_network = network(recipe)
    u = torch.randn(2, 9, 8, generator=stream("u"), dtype=torch.float64)
    whole = whole_network(u)
    before, state = whole_network.advance(u[:, :4], whole_network.initial_state(2))
    after, _ = whole_network.advance(u[:, 4:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), whole)
    state = whole_network.prefill(u[:, :4])
    for position in range(4, 9):
        y, state = whole_network.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    single = whole_network.float()
    assert tensor_bytes(single.prefill(u[:1].float())) == single.state_bytes(9)


@pytest.mark.parametrize("causal", [True, False])
def test_padding_reaches_no_valid_position(causal: bool) -> None:
    padded_network = network(Jamba(experts=3), causal=causal)
    u = torch.randn(2, 9, 8, generator=stream("u"), dtype=torch.float64)
    y = padded_network(u, torch.tensor([9, 4]))
    torch.testing.assert_close(y[1:, :4], padded_network(u[1:, :4]))


def test_every_layer_has_the_feed_forward_map_that_the_paper_gives_it() -> None:
    blocks = network(Jamba(experts=3, top=1)).blocks
    assert [isinstance(block.ffn, Experts) for block in blocks] == [False, True] * 2
    hidden = 28  # 3.5 times the width
    assert {
        block.ffn.out.weight.shape for block in blocks if not isinstance(block.ffn, Experts)
    } == {(8, hidden)}
    experts = blocks[1].ffn
    assert sum(p.numel() for p in experts.parameters()) == 8 * 3 + 3 * 3 * 8 * hidden


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kv_heads": 3}, "kv_heads divide heads, not 4, 3, 16"),
        ({"heads": 0}, "must be positive, and"),
        ({"experts": 1}, "not 2 of 1"),
        ({"experts": 4, "top": 0}, "not 0 of 4"),
        ({"top": 1}, "Without experts nothing is chosen"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(options: dict, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Jamba(**options)
