"""Attention: the fused form equals the textbook form, and positions are relative."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.attention import attend, naive_attend
from baselines.ops.attention_layer import BLOCK, AttentionLayer
from baselines.ops.heads import HELD, Heads, Positions
from baselines.ops.rotary import rotate, turns
from baselines.ops.sinusoidal import sinusoids
from baselines.transformer import Transformer
from harness.api import SpecError, tensor_bytes
from harness.core.seeding import scope, stream


def heads(length: int) -> list[Tensor]:
    """Draw queries, keys and values."""
    rng = stream("heads", length)
    shape = (2, length, 2, 4)
    return [torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for _ in "qkv"]


def layer(backend: str = "auto", *, causal: bool = True) -> AttentionLayer:
    """Build a float64 layer of width 16."""
    with scope("layer"):
        recipe = Transformer(backend=backend)
        return recipe.build(width=16, length=8, causal=causal).double()


PADDED = torch.tensor([[True] * 7, [True] * 3 + [False] * 4])


@pytest.mark.parametrize(("valid", "causal"), [(None, True), (None, False), (PADDED, False)])
def test_the_fused_form_equals_the_textbook_form_and_its_gradients(
    valid: Tensor | None, causal: bool
) -> None:
    leaves = heads(7)
    fused, naive = (form(*leaves, valid, causal=causal) for form in (attend, naive_attend))
    torch.testing.assert_close(fused, naive)
    direction = torch.randn(fused.shape, generator=stream("direction"), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((fused * direction).sum(), leaves),
        torch.autograd.grad((naive * direction).sum(), leaves),
    )


@given(query=st.integers(0, 10**6), key=st.integers(0, 10**6), shift=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_scores_depend_on_the_distance_alone(query: int, key: int, shift: int) -> None:
    q, k, _ = (x.detach()[:, :1] for x in heads(1))

    def turned(x: Tensor, at: int) -> Tensor:
        return rotate(x, turns(torch.tensor([at]), x.shape[-1], x.dtype))

    def score(at: int, to: int) -> Tensor:
        return (turned(q, at) * turned(k, to)).sum(-1)

    torch.testing.assert_close(
        score(query, key), score(query + shift, key + shift), rtol=1e-7, atol=1e-8
    )


def test_the_first_pair_turns_by_one_radian_a_position() -> None:
    x = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).expand(1, 3, 1, 4)
    turned = rotate(x, turns(torch.arange(3), 4, x.dtype))[0, :, 0]
    for position in range(3):
        expected = torch.tensor([math.cos(position), 0.0, math.sin(position), 0.0]).double()
        torch.testing.assert_close(turned[position], expected, rtol=1e-6, atol=1e-7)


@given(
    places=st.lists(st.integers(0, 3 * HELD), min_size=1, max_size=6),
    positions=st.sampled_from(get_args(Positions)),
)
@settings(max_examples=20, deadline=None)
def test_positions_one_at_a_time_in_any_order_count_as_in_a_sequence(
    places: list[int], positions: Positions
) -> None:
    with scope("layer"):
        projected = Heads(16, 4, 2, positions).double()
    u = torch.randn(1, 3 * HELD + 1, 16, generator=stream("u"), dtype=torch.float64)
    whole = projected(u)
    for place in places:
        alone = projected(u[:, place : place + 1], place)
        torch.testing.assert_close(alone, tuple(x[:, place : place + 1] for x in whole))


def test_turns_that_are_held_follow_the_precision() -> None:
    projected, u = layer().heads, torch.ones(1, 1, 16, dtype=torch.float64)
    projected(u, 5)
    q, _, _ = projected.float()(u.float(), 5)
    assert q.dtype == torch.float32


@pytest.mark.parametrize("length", [1, 6])
def test_steps_and_prefill_continue_what_the_whole_sequence_gives(length: int) -> None:
    mixer = layer()
    u = torch.randn(2, length + 3, 16, generator=stream("u"), dtype=torch.float64)
    whole = mixer(u)
    state = mixer.prefill(u[:, :length])
    torch.testing.assert_close(state, super(AttentionLayer, mixer).prefill(u[:, :length]))
    for position in range(length, length + 3):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@torch.no_grad()
def test_the_cache_grows_by_blocks_and_says_what_it_holds() -> None:
    mixer = layer().float()
    state = mixer.initial_state(1)
    assert mixer.state_bytes(0) == tensor_bytes(state)
    state = mixer.prefill(torch.zeros(1, BLOCK - 1, 16))
    held = set()
    for length in range(BLOCK, BLOCK + 3):
        _, state = mixer.step(torch.zeros(1, 16), state)
        assert mixer.state_bytes(length) == tensor_bytes(state)
        held.add(tensor_bytes(state))
    assert len(held) == 2


def test_padding_reaches_no_valid_position() -> None:
    mixer = layer(causal=False)
    u = torch.randn(2, 9, 16, generator=stream("u"), dtype=torch.float64)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y = mixer(padded, torch.tensor([9, 5]))
    assert mixer.path() == "sdpa-masked"
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


@pytest.mark.parametrize("causal", [True, False])
def test_the_backends_agree_and_name_themselves(causal: bool) -> None:
    u = torch.randn(2, 9, 16, generator=stream("u"), dtype=torch.float64)
    auto, naive = layer("auto", causal=causal), layer("naive", causal=causal)
    torch.testing.assert_close(auto(u), naive(u))
    assert (auto.path(), naive.path()) == ("sdpa", "naive")


def test_xformers_on_a_cpu_is_refused_in_a_sentence() -> None:
    with pytest.raises(SpecError, match="backend=auto"):
        layer("xformers")(torch.zeros(1, 4, 16, dtype=torch.float64))


def test_a_width_that_does_not_divide_is_refused_in_a_sentence() -> None:
    with pytest.raises(SpecError, match="multiple of 8"):
        Transformer().build(width=12, length=4, causal=True)


@pytest.mark.parametrize("causal", [True, False])
def test_every_gradient_is_the_derivative(causal: bool) -> None:
    mixer = Transformer(heads=2).build(width=4, length=4, causal=causal).double()
    u = torch.randn(1, 4, 4, generator=stream("u"), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u, *_: mixer(u), (u, *mixer.parameters()))


def test_fused_attention_holds_no_square_of_scores() -> None:
    length = 8192
    q = torch.zeros(1, length, 1, 8)
    with torch.profiler.profile(profile_memory=True) as profile:
        attend(q, q, q, causal=True)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest < length * length


@given(l=st.integers(1, 9), past=st.integers(0, 9), groups=st.sampled_from([1, 2, 4]))
def test_shared_heads_and_last_queries_equal_the_textbook_form_and_its_gradients(
    l: int, past: int, groups: int
) -> None:
    rng = stream("grouped", l, past)
    shapes = [(2, l, 4, 2), (2, l + past, groups, 2), (2, l + past, groups, 2)]
    leaves = [
        torch.randn(shape, generator=rng, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]
    fused, naive = (form(*leaves, causal=True) for form in (attend, naive_attend))
    torch.testing.assert_close(fused, naive)
    direction = torch.randn(fused.shape, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((fused * direction).sum(), leaves),
        torch.autograd.grad((naive * direction).sum(), leaves),
    )


def test_queries_after_a_past_are_masked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baselines.ops.attention.QUERIES", 2)
    q, k, v = (x.detach() for x in heads(9))
    torch.testing.assert_close(
        attend(q[:, 4:], k, v, causal=True), naive_attend(q, k, v, causal=True)[:, 4:]
    )


def test_heads_that_share_keys_equal_full_attention_with_copied_maps() -> None:
    shared = Transformer(kv_heads=2).build(width=16, length=8, causal=True).double()
    full = layer()
    with torch.no_grad():
        q, k, v = shared.heads.project.weight.split((16, 8, 8))
        copies = [x.unflatten(0, (2, 4)).repeat_interleave(2, 0).flatten(0, 1) for x in (k, v)]
        full.heads.project.weight.copy_(torch.cat([q, *copies]))
        q, k, v = shared.heads.project.bias.split((16, 8, 8))
        copies = [x.unflatten(0, (2, 4)).repeat_interleave(2, 0).flatten() for x in (k, v)]
        full.heads.project.bias.copy_(torch.cat([q, *copies]))
        full.out.load_state_dict(shared.out.state_dict())
    u = torch.randn(2, 9, 16, generator=stream("u"), dtype=torch.float64)
    torch.testing.assert_close(shared(u), full(u))


@pytest.mark.parametrize("width", [6, 7])
def test_sinusoids_are_the_papers(width: int) -> None:
    table = sinusoids(torch.arange(3, 12), width, torch.float64)
    for position, feature in ((3, 0), (7, 3), (11, width - 1)):
        angle = position / 10_000 ** (feature // 2 * 2 / width)
        expected = math.cos(angle) if feature % 2 else math.sin(angle)
        assert table[position - 3, feature].item() == pytest.approx(expected, rel=1e-12)


@given(first=st.integers(0, 7), positions=st.sampled_from(["rotary", "sinusoidal", "none"]))
def test_a_sequence_in_two_pieces_equals_one_pass(first: int, positions: str) -> None:
    mixer = Transformer(positions=positions).build(width=16, length=8, causal=True).double()
    u = torch.randn(2, 8, 16, generator=stream("u"), dtype=torch.float64)
    before, state = mixer.advance(u[:, :first], mixer.initial_state(2))
    after, state = mixer.advance(u[:, first:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), mixer(u))
    assert int(state[2]) == 8


def test_without_positions_bidirectional_attention_knows_no_order() -> None:
    mixer = Transformer(positions="none").build(width=16, length=8, causal=False).double()
    u = torch.randn(2, 8, 16, generator=stream("u"), dtype=torch.float64)
    order = torch.randperm(8, generator=stream("order"))
    torch.testing.assert_close(mixer(u[:, order]), mixer(u)[:, order])
