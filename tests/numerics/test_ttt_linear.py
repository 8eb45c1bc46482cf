"""TTT-Linear: the dual form is gradient descent position by position, and the layer its paper's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.scans import ttt_linear as module
from baselines.ops.scans.ttt_linear import (
    InnerModel,
    InnerNorm,
    Step,
    normed,
    recurrent_ttt_linear,
    ttt_linear,
)
from baselines.ttt_linear import TTTLayer, TTTLinear
from harness.api import SpecError
from harness.core.seeding import scope, stream

HEADS, FEATURES, WIDTH = 2, 4, 8


def draw(length: int) -> list[Tensor]:
    """Draw q, k, v, rates, the norm's weight and bias, and a model."""
    rng = stream("ttt", length)
    shapes = [(2, length, HEADS, FEATURES)] * 3 + [(2, length, HEADS, 1)]
    shapes += [(HEADS, FEATURES)] * 2 + [(2, HEADS, FEATURES + 1, FEATURES)]
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    leaves[3] = 0.2 * leaves[3].sigmoid()
    return [leaf.requires_grad_() for leaf in leaves]


def flat(form):
    return lambda q, k, v, eta, weight, bias, model: form(
        Step(q, k, v, eta), InnerNorm(weight, bias), InnerModel(model, model)
    )


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT", 2)


@given(length=st.integers(1, 70))
def test_the_dual_form_is_gradient_descent_with_its_gradient(length: int) -> None:
    leaves = draw(length)
    slopes = []
    for form in (ttt_linear, recurrent_ttt_linear):
        z, (_, now) = flat(form)(*leaves)
        total = z.sin().sum() + now.square().sum()
        slopes.append((z, now, *torch.autograd.grad(total, leaves)))
    torch.testing.assert_close(*slopes)


def test_every_gradient_is_the_derivative() -> None:
    assert torch.autograd.gradcheck(
        lambda *leaves: flat(ttt_linear)(*leaves)[0], draw(19), fast_mode=True
    )


def test_float32_is_within_1e_5_of_a_float64_loop() -> None:
    leaves = [leaf.detach().float() for leaf in draw(300)]
    leaves[3] = leaves[3] / 4
    expected, _ = flat(recurrent_ttt_linear)(*(leaf.double() for leaf in leaves))
    found, _ = flat(ttt_linear)(*leaves)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def layer(*, causal: bool = True) -> TTTLayer:
    with scope("layers"):
        mixer = TTTLinear(heads=HEADS).build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("u", length), dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 40])
def test_the_layer_asks_a_model_that_each_position_has_trained(length: int) -> None:
    mixer, u = layer(), features(length)
    q, k, v = (u @ mixer.in_proj.weight.T).unflatten(-1, (3, HEADS, -1)).unbind(2)
    eta = mixer.eta_proj(u).sigmoid()[..., None] / FEATURES
    begin = torch.cat([mixer.begin, mixer.begin_bias], 1).expand(2, -1, -1, -1)
    norm = InnerNorm(mixer.inner_weight, mixer.inner_bias)
    z, _ = recurrent_ttt_linear(Step(q, k, v, eta), norm, InnerModel(begin, begin))
    expected = mixer.out_proj(mixer.norm((q + normed(z, norm)).flatten(2)))
    torch.testing.assert_close(mixer(u), expected)


@pytest.mark.parametrize("length", [1, 16, 37])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(length: int) -> None:
    mixer, u = layer(), features(length + 20)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :length])
    copied = tuple(part.clone() for part in state)
    torch.testing.assert_close(mixer.advance(u[:, length:], copied)[0], whole[:, length:])
    for position in range(length, length + 20):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


def test_padding_reaches_no_valid_position_from_behind() -> None:
    mixer, u = layer(causal=False), features(20)
    y = mixer(u, torch.tensor([20, 5]))
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


def test_with_one_rate_for_all_it_is_the_naive_form_of_flash_linear_attention() -> None:
    naive = pytest.importorskip("fla.ops.ttt.naive")
    q, k, v, eta, weight, bias, model = (leaf.detach().float() for leaf in draw(32))
    eta = torch.full_like(eta, 0.1)
    z, _ = flat(ttt_linear)(q, k, v, eta, weight, bias, model)
    start = model[:, :, :-1].clone(), model[:, :, -1:].clone()
    expected, *_ = naive.chunk_ttt_linear_ref(
        q.clone(), k, v, weight, bias, eta, 1.0, 1e-6, 16, *start
    )
    torch.testing.assert_close(z + normed(z, InnerNorm(weight, bias)), expected)


@pytest.mark.parametrize("options", [{"heads": 0}, {"base_lr": 0.0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        TTTLinear(**options)


def test_a_width_that_does_not_divide_is_refused() -> None:
    with pytest.raises(SpecError, match="divide"):
        TTTLinear(heads=3).build(width=8, length=8, causal=True)
