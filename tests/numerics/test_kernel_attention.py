"""Kernel attention: chunked, quadratic and recurrent forms are one map; FAVOR+ tends to softmax."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.linear_attention import EluPlusOne, LinearAttention
from baselines.ops.attention import kernel_attention as ka
from baselines.ops.layers.kernel_attention_layer import KernelAttentionLayer
from baselines.performer import Performer, RandomFeatures, orthogonal_directions
from baselines.transformer import Transformer
from harness.api import tensor_bytes
from harness.core.seeding import scope, stream

RECIPES = [LinearAttention(), Performer(features=6), Performer(features=9, positions="sinusoidal")]


def heads(length: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    rng = stream("heads", length)
    draws = (torch.randn(2, length, 2, 3, generator=rng, dtype=torch.float64) for _ in "qkv")
    return [draw.to(dtype).requires_grad_() for draw in draws]


def feature_map(kind: str) -> ka.FeatureMap:
    with scope("features"):
        return EluPlusOne(3) if kind == "elu" else RandomFeatures(5, 3).double()


def nothing(q: Tensor, features: ka.FeatureMap) -> ka.Sums:
    return ka.empty_sums(q, len(q), q.shape[2], features.count, q.shape[3] + 1)


def layer(recipe: LinearAttention | Performer, *, causal: bool = True) -> KernelAttentionLayer:
    with scope("layer"):
        return recipe.build(width=16, length=8, causal=causal).double()


def agree(fast: Tensor, naive: Tensor, leaves: list[Tensor]) -> None:
    torch.testing.assert_close(fast, naive)
    direction = torch.randn(fast.shape, generator=stream("to"), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((fast * direction).sum(), leaves),
        torch.autograd.grad((naive * direction).sum(), leaves),
    )


@given(length=st.integers(1, 150), kind=st.sampled_from(["elu", "random"]))
def test_the_chunked_form_equals_the_square_and_its_gradients(length: int, kind: str) -> None:
    leaves, features = heads(length), feature_map(kind)
    fast, _ = ka.causal_attend(*leaves, nothing(leaves[0], features), features)
    agree(fast, ka.quadratic_attend(*leaves, None, features, causal=True), leaves)


@given(length=st.integers(1, 40), kind=st.sampled_from(["elu", "random"]))
def test_the_scan_of_mamba2_gives_the_square_and_its_gradients(length: int, kind: str) -> None:
    leaves, features = heads(length), feature_map(kind)
    scanned, _ = ka.scanned_attend(*leaves, nothing(leaves[0], features), features)
    agree(scanned, ka.quadratic_attend(*leaves, None, features, causal=True), leaves)


@pytest.mark.parametrize("kind", ["elu", "random"])
def test_pieces_carry_the_state_and_its_gradient(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ka, "CHUNK", 4)
    monkeypatch.setattr(ka, "SEGMENT", 16)
    leaves, features = heads(37), feature_map(kind)
    sums = torch.rand(2, 2, features.count, 4, dtype=torch.float64, generator=stream("state"))
    scale = torch.tensor([[0.3, -40.0], [-1.0, 2.0]], dtype=torch.float64)
    state = sums.requires_grad_(), scale.requires_grad_()
    fast, last = ka.causal_attend(*leaves, state, features)
    walked, after = ka.recurrent_attend(*leaves, state, features)
    torch.testing.assert_close(last, after)
    agree(fast, walked, [*leaves, *state])
    agree(
        ka.global_attend(*leaves, None, features),
        ka.quadratic_attend(*leaves, None, features, causal=False),
        leaves,
    )


@given(length=st.integers(1, 20), valid=st.integers(1, 20), kind=st.sampled_from(["elu", "random"]))
def test_one_state_for_all_queries_equals_the_square(length: int, valid: int, kind: str) -> None:
    leaves, features = heads(length), feature_map(kind)
    seen = torch.arange(length) < torch.tensor([[length], [valid]])
    fast = ka.global_attend(*leaves, seen, features)
    agree(fast, ka.quadratic_attend(*leaves, seen, features, causal=False), leaves)


def test_linear_attention_equals_the_papers_sums() -> None:
    q, k, v = (x.detach() for x in heads(7))
    fast, _ = ka.causal_attend(q, k, v, nothing(q, EluPlusOne(3)), EluPlusOne(3))

    def phi(x: Tensor) -> Tensor:
        return torch.where(x > 0, x + 1, x.exp())

    for i in range(7):
        weights = [(phi(q[:, i]) * phi(k[:, j])).sum(-1, keepdim=True) for j in range(i + 1)]
        above = sum(weight * v[:, j] for j, weight in enumerate(weights))
        torch.testing.assert_close(fast[:, i], above / sum(weights))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("first", [0, 1, 64, 70])
def test_steps_and_pieces_continue_the_sequence(
    recipe: LinearAttention | Performer, first: int
) -> None:
    mixer = layer(recipe)
    u = torch.randn(2, 70, 16, generator=stream("u"), dtype=torch.float64)
    whole = mixer(u)
    before, state = mixer.advance(u[:, :first], mixer.initial_state(2))
    after, last = mixer.advance(u[:, first:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), whole)
    for position in range(first, 70):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    torch.testing.assert_close(state, last)
    assert tensor_bytes(mixer.float().initial_state(1)) == mixer.state_bytes(70)


def test_the_performer_tends_to_softmax_attention() -> None:
    with scope("softmax", 0):
        softmax = Transformer().build(width=16, length=8, causal=True)
    u = torch.randn(2, 12, 16, generator=stream("u"))
    errors = []
    for count in (64, 16_384):
        with scope("performer", count):
            mixer = Performer(features=count).build(width=16, length=8, causal=True)
        mixer.load_state_dict(softmax.state_dict(), strict=False)
        errors.append((mixer(u) - softmax(u)).norm() / softmax(u).norm())
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 4


def test_directions_are_orthogonal_in_blocks_and_normal_one_by_one() -> None:
    with scope("directions"):
        directions = orthogonal_directions(4000, 8).double()
    blocks = directions.unflatten(0, (-1, 8))
    products = blocks @ blocks.mT
    off = products - torch.diag_embed(products.diagonal(dim1=-2, dim2=-1))
    assert off.abs().max() < 1e-4
    torch.testing.assert_close(
        directions.mT @ directions / 4000, torch.eye(8).double(), atol=0.08, rtol=0
    )
    assert directions.mean(0).abs().max() < 0.06
    assert directions.square().sum(-1).var().item() == pytest.approx(16, rel=0.15)


def test_a_key_of_the_future_however_large_moves_no_bit_of_the_past() -> None:
    mixer = layer(Performer(features=6)).float()
    u = torch.randn(1, 9, 16, generator=stream("u"))
    changed = u.clone()
    changed[:, 5:] *= 1e4
    assert torch.equal(mixer(changed)[:, :5], mixer(u)[:, :5])


def test_a_large_head_overflows_nowhere() -> None:
    features = RandomFeatures(4, 256)
    with torch.no_grad():
        features.directions.copy_(torch.eye(4, 256) * 16)
    # The key whose exponent |w|^2 / 2 = 128 is the largest that any has.
    k = 256**0.25 * features.directions[None, :, None]
    y, _ = ka.causal_attend(k, k, k, nothing(k, features), features)
    assert y.isfinite().all()


def drawn(size: int, deviation: float) -> tuple[list[Tensor], RandomFeatures]:
    """Draw heads of so many features whose keys have a standard deviation, and directions."""
    rng = stream("large", size)
    q, k, v = (torch.randn(1, 150, 2, size, generator=rng, dtype=torch.float64) for _ in "qkv")
    with scope("directions", size):
        return [q, k * deviation, v], RandomFeatures(128, size)


LARGE = [(16, 7.0), (64, 6.0), (256, 4.0), (16, 10.0), (64, 9.0), (256, 6.0)]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("size", "deviation"), LARGE)
def test_keys_of_any_length_count_in_float32_as_in_the_square_in_float64(
    size: int, deviation: float, causal: bool
) -> None:
    exact, features = drawn(size, deviation)
    leaves = [x.float().requires_grad_() for x in exact]
    if causal:
        y, _ = ka.causal_attend(*leaves, nothing(leaves[0], features), features)
    else:
        y = ka.global_attend(*leaves, None, features)
    for x in exact:
        x.requires_grad_()
    square = copy.deepcopy(features).double()
    expected = ka.quadratic_attend(*exact, None, square, causal=causal)
    direction = torch.randn(y.shape, generator=stream("to"), dtype=torch.float64)
    found = torch.autograd.grad((y * direction).sum(), leaves)
    right = torch.autograd.grad((expected * direction).sum(), exact)
    for single, double in zip((y, *found), (expected, *right), strict=True):
        assert (single - double).norm() < 1e-3 * double.norm()


@pytest.mark.parametrize(("size", "deviation"), LARGE)
def test_steps_count_keys_of_any_length_as_the_square_in_float64_does(
    size: int, deviation: float
) -> None:
    exact, features = drawn(size, deviation)
    single, outputs = [x.float() for x in exact], []
    state = nothing(single[0], features)
    for now in range(150):
        y, state = ka.kernel_attention_step(*(x[:, now] for x in single), state, features)
        outputs.append(y)
    expected = ka.quadratic_attend(*exact, None, features.double(), causal=True)
    assert (torch.stack(outputs, 1) - expected).norm() < 1e-3 * expected.norm()


def test_gradients_stay_finite_where_a_sum_of_weights_vanishes() -> None:
    leaves, features = drawn(16, 1000.0)
    leaves = [x.float().requires_grad_() for x in leaves]
    y, _ = ka.causal_attend(*leaves, nothing(leaves[0], features), features)
    for slope in torch.autograd.grad(y.square().sum(), leaves):
        assert slope.isfinite().all()


@pytest.mark.parametrize("kind", ["elu", "random"])
def test_float32_keeps_four_digits_at_262144_steps(kind: str) -> None:
    features = feature_map(kind)
    q, k, v = (x.detach()[:1, :, :1] for x in heads(262_144, torch.float64))
    exact, _ = ka.causal_attend(q, k, v, nothing(q, features), features)
    q, k, v = q.float(), k.float(), v.float()
    single, _ = ka.causal_attend(q, k, v, nothing(q, features), features.float())
    for part in (slice(None), slice(-4096, None)):
        difference = (single.double() - exact)[:, part].norm() / exact[:, part].norm()
        assert difference < 1e-4
