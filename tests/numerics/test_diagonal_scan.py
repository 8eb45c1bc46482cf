"""Scans of diagonal recurrences equal the walk, the sum of powers and the associative operator."""

from functools import reduce

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.scans.diagonal_scan import diagonal_scan, naive_diagonal_scan
from harness.core.seeding import stream

LENGTHS = st.integers(1, 70)


def given_scan(length: int, *, varying: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Draw what drives 3 modes of 2 sequences, poles inside the unit circle and a first state."""
    rng = stream("scan", length, str(varying))
    shape = (2, length, 3) if varying else (3,)
    size = torch.rand(shape, generator=rng, dtype=torch.float64)
    pole = torch.polar(size, 7 * torch.rand(shape, generator=rng, dtype=torch.float64))
    v = torch.randn(2, length, 3, generator=rng, dtype=torch.complex128)
    return v, pole, torch.randn(2, 3, generator=rng, dtype=torch.complex128)


@given(length=LENGTHS, varying=st.booleans())
def test_the_scan_equals_the_walk_in_output_and_gradients(length: int, varying: bool) -> None:
    leaves = [leaf.requires_grad_() for leaf in given_scan(length, varying=varying)]
    direction = torch.randn(2, length, 3, generator=stream("to"), dtype=torch.complex128)
    found = []
    for form in (diagonal_scan, naive_diagonal_scan):
        x = form(*leaves)
        found.append((x, *torch.autograd.grad((x * direction).sum().imag, leaves)))
    torch.testing.assert_close(*found)


@given(length=LENGTHS)
def test_the_scan_equals_the_sum_over_powers_of_the_pole(length: int) -> None:
    v, pole, initial = given_scan(length, varying=False)
    lag = torch.arange(length)[:, None] - torch.arange(length)
    kernel = torch.where(lag[..., None] >= 0, pole ** lag.clamp(min=0)[..., None], 0)
    expected = torch.einsum("ljn,bjn->bln", kernel, v)
    expected = expected + initial[:, None] * pole ** torch.arange(1, length + 1)[:, None]
    torch.testing.assert_close(diagonal_scan(v, pole, initial), expected)


@given(length=LENGTHS)
def test_the_scan_equals_the_associative_operator_from_either_side(length: int) -> None:
    v, pole, initial = given_scan(length, varying=True)

    def then(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return second[0] * first[0], second[0] * first[1] + second[1]

    elements = list(zip(pole.unbind(1), v.unbind(1), strict=True))
    right = reduce(lambda later, earlier: then(earlier, later), elements[::-1])
    for product, driven in (reduce(then, elements), right):
        torch.testing.assert_close(
            diagonal_scan(v, pole, initial)[:, -1], product * initial + driven
        )


@given(length=LENGTHS)
def test_poles_that_vary_but_are_equal_give_the_constant_system(length: int) -> None:
    v, pole, initial = given_scan(length, varying=False)
    torch.testing.assert_close(
        diagonal_scan(v, pole.expand_as(v), initial), diagonal_scan(v, pole, initial)
    )


@pytest.mark.parametrize("varying", [False, True])
@pytest.mark.parametrize("pole", [0.0, 1e-300, -1.0, 1j])
def test_poles_may_vanish_or_lie_on_the_circle(pole: complex, varying: bool) -> None:
    poles = torch.full((1, 100, 1) if varying else (1,), pole, dtype=torch.complex128)
    poles.requires_grad_()
    v = torch.ones(1, 100, 1, dtype=torch.complex128)
    x = diagonal_scan(v, poles, v[:, 0])
    torch.testing.assert_close(x, naive_diagonal_scan(v, poles, v[:, 0]))
    x.abs().sum().backward()
    assert poles.grad is not None
    assert torch.view_as_real(poles.grad).isfinite().all()


def test_silence_leaves_no_state_that_slows_the_processor() -> None:
    v = torch.zeros(1, 4096, 1, dtype=torch.complex64)
    v[:, 0] = 1
    pole = torch.full((1,), 0.9, dtype=torch.complex128)
    x = torch.view_as_real(diagonal_scan(v, pole, v[:, 1])).abs()
    kept = x[x != 0]
    assert len(kept) > 400
    assert kept.min() > torch.finfo(torch.float32).tiny


@pytest.mark.parametrize("varying", [False, True])
def test_a_scan_keeps_four_digits_in_float32_at_262144_steps(varying: bool) -> None:
    length, rng = 262_144, stream("long")
    decay = -torch.logspace(-6, -3, 4, dtype=torch.float64)
    rate = torch.complex(decay, 3 * torch.rand(4, generator=rng, dtype=torch.float64))
    steps = 1 + torch.rand(1, length, 1, generator=rng, dtype=torch.float64)
    pole = (rate * steps).exp() if varying else rate.exp()
    v = torch.randn(1, length, 4, generator=rng, dtype=torch.complex64)
    rest = torch.zeros(1, 4, dtype=torch.complex64)
    single, double = diagonal_scan(v, pole, rest), diagonal_scan(v.to(torch.complex128), pole, rest)
    assert single.dtype == torch.complex64
    for part in (slice(None), slice(-4096, None)):
        error = (single - double)[:, part].norm(dim=1) / double[:, part].norm(dim=1)
        assert error.max() < 1e-4
