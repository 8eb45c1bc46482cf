"""S5: the scan is the paper's system, whatever the options, the direction and the time steps."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.s5 import S5, S5Layer
from harness.api import UnsupportedError
from harness.core.seeding import scope, stream

SMALL = S5(state=8, blocks=2, dt_min=0.05, dt_max=0.5)
RECIPES = [
    replace(SMALL, conj_sym=symmetric, disc=disc)
    for symmetric, disc in product((True, False), ("zoh", "bilinear"))
]


def layer(recipe: S5, *, causal: bool = True) -> S5Layer:
    """Build a float64 layer of width 3."""
    with scope("layer"):
        return recipe.build(width=3, length=10, causal=causal).double()


def features(length: int, draw: str = "features") -> Tensor:
    """Draw (2, length, 3) features."""
    return torch.randn(2, length, 3, generator=stream(draw, length), dtype=torch.float64)


def durations(length: int) -> Tensor:
    """Draw (2, length) time steps."""
    return torch.rand(2, length, generator=stream("steps", length), dtype=torch.float64) + 0.5


def walked(mixer: S5Layer, u: Tensor, steps: Tensor) -> Tensor:
    """Walk the paper's recurrence over all states, the left-out conjugates among them."""
    Lambda = torch.complex(mixer.Lambda_re, mixer.Lambda_im)
    B, C = torch.view_as_complex(mixer.B), torch.view_as_complex(mixer.C)
    dt = mixer.log_step.exp()
    if mixer.recipe.conj_sym:
        Lambda, dt = torch.cat([Lambda, Lambda.conj()]), torch.cat([dt, dt])
        B, C = torch.cat([B, B.conj()]), torch.cat([C, C.conj()], -1)
    y = mixer.D * u
    orders = [range(u.shape[1]), range(u.shape[1] - 1, -1, -1)]
    for k, order in enumerate(orders[: mixer.directions]):
        x = torch.zeros(2, len(Lambda), dtype=torch.complex128)
        for at in order:
            h = dt * steps[:, at, None]
            if mixer.recipe.disc == "zoh":
                pole, gain = (Lambda * h).exp(), ((Lambda * h).exp() - 1) / Lambda
            else:
                pole, gain = (1 + h / 2 * Lambda) / (1 - h / 2 * Lambda), h / (1 - h / 2 * Lambda)
            x = pole * x + gain * (u[:, at].to(B.dtype) @ B.mT)
            y[:, at] += (x @ C[k].mT).real
    return y


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_layer_equals_the_recurrence_over_all_states(recipe: S5, causal: bool) -> None:
    mixer, u = layer(recipe, causal=causal), features(23)
    torch.testing.assert_close(mixer(u), walked(mixer, u, torch.ones(2, 23)))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_irregular_steps_equal_the_recurrence_with_a_step_a_position(
    recipe: S5, causal: bool
) -> None:
    mixer, u, steps = layer(recipe, causal=causal), features(23), durations(23)
    torch.testing.assert_close(mixer(u, steps=steps), walked(mixer, u, steps))


@given(length=st.integers(1, 40), causal=st.booleans())
def test_irregular_steps_that_are_equal_are_regular_ones(length: int, causal: bool) -> None:
    mixer, u = layer(SMALL, causal=causal), features(length)
    one = torch.ones(2, length, dtype=torch.float64)
    torch.testing.assert_close(mixer(u, steps=one), mixer(u))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_layer_equals_the_convolution_with_its_kernel(recipe: S5) -> None:
    mixer, u = layer(recipe), features(19)
    pole, B, C = mixer.system()
    taps = torch.einsum("dn,nl,ne->lde", C[0], pole[:, None] ** torch.arange(19), B).real
    y = mixer.D * u
    for lag in range(19):
        y[:, lag:] += u[:, : 19 - lag] @ taps[lag].mT
    torch.testing.assert_close(mixer(u), y)


def test_conjugate_halves_of_a_real_system_give_the_real_system() -> None:
    mixer = layer(replace(SMALL, blocks=1))
    full = layer(replace(SMALL, blocks=1, conj_sym=False))
    with torch.no_grad():
        for name in ("Lambda_re", "Lambda_im", "log_step", "B", "C"):
            half = getattr(mixer, name)
            axis = 2 if name == "C" else 0
            other = half.clone()
            if name in ("B", "C"):
                other[..., 1] *= -1
            elif name == "Lambda_im":
                other *= -1
            getattr(full, name).copy_(torch.cat([half, other], axis))
        full.D.copy_(mixer.D)
    torch.testing.assert_close(mixer(features(17)), full(features(17)))


def test_a_real_part_above_the_bound_is_clipped() -> None:
    clipped, free = layer(replace(SMALL, clip_eigs=True)), layer(SMALL)
    torch.testing.assert_close(clipped(features(9)), free(features(9)))
    with torch.no_grad():
        clipped.Lambda_re[0] = free.Lambda_re[0] = 0.5
    expected = (clipped.log_step[0].exp() * -1e-4).exp()
    assert clipped.system().pole[0].abs().item() == pytest.approx(expected.item())
    assert free.system().pole[0].abs() > 1


def test_holding_the_input_for_two_samples_equals_half_the_sampling_rate() -> None:
    mixer, u = layer(SMALL), features(12)
    held = mixer(u.repeat_interleave(2, 1))[:, 1::2]
    uneven = mixer(u, steps=torch.full((2, 12), 2.0, dtype=torch.float64))
    torch.testing.assert_close(uneven, held)
    mixer.step(u[:, 0], mixer.initial_state(2))
    mixer.resample(2.0)
    torch.testing.assert_close(mixer(u), held)
    torch.testing.assert_close(mixer.step(u[:, 0], mixer.initial_state(2))[0], held[:, 0])


@pytest.mark.parametrize("length", [1, 9, 32])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_steps_and_prefill_continue_the_sequence(recipe: S5, length: int) -> None:
    mixer, u = layer(recipe), features(length + 3)
    state = mixer.prefill(u[:, :length])
    for position in range(length, length + 3):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, mixer(u)[:, position])


@pytest.mark.parametrize("irregular", [False, True])
@pytest.mark.parametrize("causal", [True, False])
def test_padding_reaches_no_valid_position(causal: bool, irregular: bool) -> None:
    mixer, u, steps = layer(SMALL, causal=causal), features(9), durations(9)
    padded = u.clone()
    padded[1, 5:] = torch.nan
    steps[1, 5:] = torch.nan
    given_steps, first, second = (steps, steps[:1], steps[1:, :5]) if irregular else (None,) * 3
    y = mixer(padded, torch.tensor([9, 5]), given_steps)
    torch.testing.assert_close(y[:1], mixer(u[:1], steps=first))
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5], steps=second))


@pytest.mark.parametrize("irregular", [False, True])
def test_every_gradient_is_the_derivative(irregular: bool) -> None:
    mixer, steps = layer(SMALL, causal=False), durations(5) if irregular else None
    names = [name for name, _ in mixer.named_parameters()]

    def run(u: Tensor, *parameters: Tensor) -> Tensor:
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(mixer, values, (u, None, steps))

    parameters = [p.detach().clone().requires_grad_() for p in mixer.parameters()]
    assert torch.autograd.gradcheck(
        run, (features(5).requires_grad_(), *parameters), fast_mode=True
    )


def test_a_bidirectional_layer_has_no_steps() -> None:
    with pytest.raises(UnsupportedError, match="future"):
        layer(SMALL, causal=False).initial_state(1)
