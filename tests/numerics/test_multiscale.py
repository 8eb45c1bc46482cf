"""Kernels made of stretched pieces equal their taps one by one."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.convolution.multiscale import multiscale_kernel, naive_multiscale_kernel, scales
from harness.core.seeding import stream


def drawn(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Draw pieces and decays."""
    rng = stream("pieces", count, size)
    pieces = torch.randn(count, 2, 2, size, generator=rng, dtype=torch.float64)
    return pieces, 1 + torch.rand(2, generator=rng, dtype=torch.float64)


@given(count=st.integers(1, 5), size=st.integers(1, 7), length=st.integers(1, 130))
def test_the_stretched_pieces_equal_the_taps_one_by_one(count: int, size: int, length: int) -> None:
    pieces, decay = drawn(count, size)
    taps = multiscale_kernel(pieces, decay, length)
    assert taps.shape == (2, 2, min(length, size << count - 1))
    torch.testing.assert_close(taps, naive_multiscale_kernel(pieces, decay, length))


@given(count=st.integers(1, 4), size=st.integers(1, 5), length=st.integers(1, 40))
def test_the_stretched_pieces_have_the_gradients_of_the_taps(
    count: int, size: int, length: int
) -> None:
    leaves = [leaf.requires_grad_() for leaf in drawn(count, size)]
    found, expected = (
        torch.autograd.grad(form(*leaves, length).square().sum(), leaves, materialize_grads=True)
        for form in (multiscale_kernel, naive_multiscale_kernel)
    )
    torch.testing.assert_close(found, expected)


def test_equal_parameters_make_steps_that_halve_where_a_piece_doubles() -> None:
    decay = torch.full((1,), 2, dtype=torch.float64)
    taps = multiscale_kernel(torch.ones(4, 1, 1, 3, dtype=torch.float64), decay, 24)
    expected = torch.tensor([1.0] * 3 + [0.5] * 3 + [0.25] * 6 + [0.125] * 12)
    torch.testing.assert_close(taps[0, 0], expected.double())


@given(length=st.integers(1, 10_000), piece=st.integers(1, 100))
def test_so_many_pieces_reach_over_a_length_and_one_fewer_do_not(length: int, piece: int) -> None:
    count = scales(length, piece)
    assert piece << count - 1 >= length
    assert count == 1 or piece << count - 2 < length


def test_float32_keeps_four_digits_of_the_kernel_at_262144_steps() -> None:
    pieces, decay = drawn(13, 64)
    single = multiscale_kernel(pieces.float(), decay.float(), 262_144)
    double = multiscale_kernel(pieces, decay, 262_144)
    assert (single - double).norm() / double.norm() < 1e-4
    last = slice(-4096, None)
    assert (single - double)[..., last].norm() / double[..., last].norm() < 1e-4
