"""LRU: the scan is the paper's recurrence, and its normalisation keeps the size of states."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.lru import LRU, LRULayer
from baselines.ops.layers.mimo_layer import MimoLayer
from harness.api import UnsupportedError
from harness.core.seeding import scope, stream


def layer(*, causal: bool = True) -> LRULayer:
    """Build a float64 layer of width 3 and 5 states."""
    with scope("layer"):
        return LRU(state=5).build(width=3, length=10, causal=causal).double()


def features(length: int) -> Tensor:
    """Draw (2, length, 3) features."""
    return torch.randn(2, length, 3, generator=stream("features", length), dtype=torch.float64)


@given(length=st.integers(1, 40), causal=st.booleans())
def test_the_layer_equals_the_papers_recurrence(length: int, causal: bool) -> None:
    mixer, u = layer(causal=causal), features(length)
    pole = torch.exp(torch.complex(-mixer.nu_log.exp(), mixer.theta_log.exp()))
    B, C = torch.view_as_complex(mixer.B), torch.view_as_complex(mixer.C)
    expected = mixer.D * u
    orders = [range(length), range(length - 1, -1, -1)][: mixer.directions]
    for k, order in enumerate(orders):
        x = torch.zeros(2, 5, dtype=torch.complex128)
        for at in order:
            x = pole * x + mixer.gamma_log.exp() * (u[:, at].to(B.dtype) @ B.mT)
            expected[:, at] += (x @ C[k].mT).real
    torch.testing.assert_close(mixer(u), expected)


def test_the_layer_equals_the_convolution_with_its_kernel() -> None:
    mixer, u = layer(), features(19)
    pole, B, C = mixer.system()
    taps = torch.einsum("dn,nl,ne->lde", C[0], pole[:, None] ** torch.arange(19), B).real
    y = mixer.D * u
    for lag in range(19):
        y[:, lag:] += u[:, : 19 - lag] @ taps[lag].mT
    torch.testing.assert_close(mixer(u), y)


@pytest.mark.parametrize("length", [1, 9, 32])
def test_steps_and_prefill_continue_the_sequence(length: int) -> None:
    mixer, u = layer(), features(length + 3)
    state = mixer.prefill(u[:, :length])
    walked = super(MimoLayer, mixer).advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close((mixer(u[:, :length]), state), walked)
    for position in range(length, length + 3):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, mixer(u)[:, position])


def test_steps_follow_a_parameter_that_changed_in_place_and_one_that_changed_its_type() -> None:
    mixer, u = layer(), features(4)

    def stepped() -> Tensor:
        state, outputs = mixer.initial_state(2), []
        for position in range(4):
            y, state = mixer.step(u[:, position].to(mixer.D.dtype), state)
            outputs.append(y)
        return torch.stack(outputs, 1)

    stepped()
    with torch.no_grad():
        mixer.nu_log.sub_(1)
    torch.testing.assert_close(stepped(), mixer(u))
    mixer.float()
    torch.testing.assert_close(stepped(), mixer(u.float()))


def test_padding_reaches_no_valid_position_from_the_future() -> None:
    mixer, u = layer(causal=False), features(9)
    padded = u.clone()
    padded[1, 5:] = torch.nan
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


def test_every_gradient_is_the_derivative() -> None:
    mixer = layer(causal=False)
    names = [name for name, _ in mixer.named_parameters()]

    def run(u: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(mixer, dict(zip(names, parameters, strict=True)), (u,))

    parameters = [p.detach().clone().requires_grad_() for p in mixer.parameters()]
    assert torch.autograd.gradcheck(
        run, (features(5).requires_grad_(), *parameters), fast_mode=True
    )


@pytest.mark.parametrize(("r_min", "r_max"), [(0.0, 0.9), (0.9, 0.99)])
def test_normalised_states_of_white_noise_are_as_large_as_what_drives_them(
    r_min: float, r_max: float
) -> None:
    with scope("layer"):
        mixer = LRU(state=64, r_min=r_min, r_max=r_max).build(width=16, length=10, causal=True)
    noise = torch.randn(64, 800, 16, generator=stream("noise"))
    (state,) = mixer.prefill(noise)
    driven = noise[:, -1].to(torch.complex64) @ torch.view_as_complex(mixer.B.detach()).mT
    ratio = state.detach().abs().square().mean() / driven.abs().square().mean()
    assert ratio.item() == pytest.approx(1, rel=0.1)


def test_a_bidirectional_layer_has_no_steps() -> None:
    with pytest.raises(UnsupportedError, match="future"):
        layer(causal=False).state_bytes(4)
