"""Diagonal systems: the fast forms equal the textbook's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.ssm import diagonal
from harness.core.seeding import stream

SIZES = {"channels": 3, "kernels": 2, "modes": 5}


def system(shared: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw weights and stable poles in float64."""
    rng = stream(seed, "system")
    channels, kernels, modes = SIZES.values()
    groups = 1 if shared else channels
    decay = -torch.rand(groups, modes, generator=rng, dtype=torch.float64)
    phase = 7 * torch.randn(groups, modes, generator=rng, dtype=torch.float64)
    weight = torch.randn(channels, kernels, modes, generator=rng, dtype=torch.complex128)
    return weight, torch.complex(decay, phase).exp()


@given(length=st.integers(0, 300), shared=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_split_kernel_equals_the_textbook_kernel(length: int, shared: bool, seed: int) -> None:
    weight, pole = system(shared, seed)
    torch.testing.assert_close(
        diagonal.kernel(weight, pole, length), diagonal.textbook_kernel(weight, pole, length)
    )


@pytest.mark.parametrize("shared", [False, True])
def test_the_split_kernel_has_the_textbook_kernels_gradients(shared: bool) -> None:
    leaves = [leaf.requires_grad_() for leaf in system(shared)]
    direction = torch.randn(3, 2, 77, generator=stream("direction"), dtype=torch.float64)
    fast, textbook = (
        torch.autograd.grad((form(*leaves, 77) * direction).sum(), leaves)
        for form in (diagonal.kernel, diagonal.textbook_kernel)
    )
    torch.testing.assert_close(fast, textbook)


def test_conjugate_halves_stand_for_the_full_sum() -> None:
    weight, pole = system(shared=False)
    full = torch.cat([weight, weight.conj()], -1), torch.cat([pole, pole.conj()], -1)
    torch.testing.assert_close(diagonal.kernel(2 * weight, pole, 50), diagonal.kernel(*full, 50))


@given(length=st.integers(0, 200), shared=st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_state_after_a_piece_equals_the_walked_one(length: int, shared: bool) -> None:
    _, pole = system(shared)
    rng = stream("u", length)
    u = torch.randn(2, length, 3, generator=rng, dtype=torch.float64)
    state = torch.randn(2, 3, 5, generator=rng, dtype=torch.complex128)
    torch.testing.assert_close(
        diagonal.final_state(pole, u, state), diagonal.naive_final_state(pole, u, state)
    )


def test_a_state_left_alone_fades_as_the_steps_say() -> None:
    weight, pole = system(shared=False)
    state = torch.randn(2, 3, 5, generator=stream("state"), dtype=torch.complex128)
    silence = torch.zeros(2, 3, dtype=torch.float64)
    left = diagonal.response(weight[:, 0], pole, state, 9)
    steps = diagonal.DiagonalSteps(weight[:, 0], pole, torch.ones(3, dtype=torch.float64))
    held, outputs = steps.begin(state), []
    for _ in range(9):
        y, held = steps.step(silence, held)
        outputs.append(y)
    torch.testing.assert_close(left, torch.stack(outputs, 1))


@pytest.mark.parametrize("pole", [0.0, -0.25, 1.0, 1j])
def test_kernels_are_finite_at_poles_that_have_no_logarithm_or_never_decay(pole: complex) -> None:
    poles = torch.full((1, 1), pole, dtype=torch.complex128, requires_grad=True)
    taps = diagonal.kernel(torch.ones(1, 1, 1, dtype=torch.complex128), poles, 40)
    expected = torch.tensor([(pole**lag).real for lag in range(40)], dtype=torch.float64)
    torch.testing.assert_close(taps[0, 0], expected)
    assert taps.sum().backward() is None
    assert poles.grad is not None
    assert torch.view_as_real(poles.grad).isfinite().all()


def test_roots_of_unity_hold_a_one_hot_kernel() -> None:
    modes, lag = 48, 17
    phase = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    weight = torch.polar(torch.full_like(phase, 1 / modes), -lag * phase)
    taps = diagonal.kernel(weight[None, None], torch.polar(torch.ones_like(phase), phase)[None], 48)
    torch.testing.assert_close(taps[0, 0], torch.eye(modes, dtype=torch.float64)[lag])


def test_float32_keeps_four_digits_at_262144_steps() -> None:
    rng = stream("long")
    decay = -torch.logspace(-6, -3, 32, dtype=torch.float64)
    phase = 3 * torch.rand(32, generator=rng, dtype=torch.float64)
    pole = torch.complex(decay, phase).exp()[None]
    weight = torch.randn(1, 1, 32, generator=rng, dtype=torch.complex128)
    single = diagonal.kernel(weight.to(torch.complex64), pole, 262_144).double()
    double = diagonal.textbook_kernel(weight, pole, 262_144)
    assert single.dtype == torch.float64
    assert (single - double).norm() / double.norm() < 1e-5
    last = slice(-4096, None)
    assert (single - double)[..., last].norm() / double[..., last].norm() < 1e-4
