"""Convolutions: the transforms equal the sums as written."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.ops.convolution import fft_convolution
from baselines.ops.convolution.fft_convolution import (
    cut,
    direct_convolve,
    fast_size,
    fft_convolve,
    transposed,
)
from harness.core.seeding import stream


@given(length=st.integers(1, 70), taps=st.integers(1, 90), directions=st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_the_transform_equals_the_direct_sums(length: int, taps: int, directions: int) -> None:
    rng = stream(length, taps)
    u = torch.randn(2, length, 3, generator=rng, dtype=torch.float64)
    kernel = torch.randn(3, directions, taps, generator=rng, dtype=torch.float64)
    skip = torch.randn(3, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(fft_convolve(u, kernel, skip), direct_convolve(u, kernel, skip))


@pytest.mark.parametrize("directions", [1, 2])
def test_blocks_of_channels_make_up_the_whole(
    directions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = stream("blocks")
    shapes = [(2, 9, 5), (5, directions, 7), (5,)]
    leaves = [torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes]
    kept = [leaf.clone() for leaf in leaves]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    direction = torch.randn(2, 9, 5, generator=rng, dtype=torch.float64)
    expected = direct_convolve(*leaves)
    gradients = torch.autograd.grad((expected * direction).sum(), leaves)
    monkeypatch.setattr(fft_convolution, "BLOCK", 72)
    y = fft_convolve(*leaves)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(torch.autograd.grad((y * direction).sum(), leaves), gradients)
    torch.testing.assert_close([leaf.detach() for leaf in leaves], kept, rtol=0, atol=0)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("length", "taps"), [(1, 1), (9, 9), (9, 4), (4, 9)])
def test_the_form_of_gpus_takes_all_at_once_to_the_same_end(
    length: int, taps: int, directions: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = stream("whole", length)
    shapes = [(batch, length, 3), (3, directions, taps), (3,)]
    leaves = [
        torch.randn(s, generator=rng, dtype=torch.float64, requires_grad=True) for s in shapes
    ]
    direction = torch.randn(batch, length, 3, generator=rng, dtype=torch.float64)
    expected = direct_convolve(*leaves)
    gradients = torch.autograd.grad((expected * direction).sum(), leaves)
    monkeypatch.setattr(fft_convolution, "on_gpu", lambda x: True)
    y = fft_convolve(*leaves)
    assert y.is_contiguous()
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(torch.autograd.grad((y * direction).sum(), leaves), gradients)


@pytest.mark.parametrize(
    ("length", "taps", "parts"),
    [(16, 16, 2), (25, 25, 3), (40, 64, 5), (61, 33, 4), (70, 69, 8), (100, 40, 1), (7, 9, 1)],
)
def test_parts_of_a_sequence_make_up_the_whole(
    length: int, taps: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fft_convolution, "PART", 8)
    rng = stream("parts", length)
    shapes = [(2, length, 3), (3, 1, taps), (3,)]
    leaves = [
        torch.randn(s, generator=rng, dtype=torch.float64, requires_grad=True) for s in shapes
    ]
    assert cut(length, leaves[1]).parts == parts
    direction = torch.randn(2, length, 3, generator=rng, dtype=torch.float64)
    y, expected = fft_convolve(*leaves), direct_convolve(*leaves)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(
        torch.autograd.grad((y * direction).sum(), leaves),
        torch.autograd.grad((expected * direction).sum(), leaves),
    )


def test_the_future_begins_at_the_next_position() -> None:
    u = torch.tensor([1.0, 10.0, 100.0])[None, :, None]
    kernel = torch.tensor([[[0.0, 0.0], [1.0, 2.0]]])
    y = fft_convolve(u, kernel, torch.zeros(1))
    torch.testing.assert_close(y[0, :, 0], torch.tensor([210.0, 100.0, 0.0]))


@pytest.mark.parametrize(("length", "taps"), [(1, 1), (7, 7), (6, 3), (3, 8)])
@pytest.mark.parametrize("directions", [1, 2])
def test_its_gradient_is_the_derivative(length: int, taps: int, directions: int) -> None:
    rng = stream("gradient")
    shapes = [(2, length, 2), (2, directions, taps), (2,)]
    leaves = [
        torch.randn(shape, generator=rng, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]
    assert torch.autograd.gradcheck(fft_convolve, leaves)


@given(least=st.integers(1, 100_000))
def test_sizes_are_even_smooth_and_the_smallest(least: int) -> None:
    def smooth(number: int) -> bool:
        for prime in (2, 3, 5):
            while number % prime == 0:
                number //= prime
        return number == 1

    size = fast_size(least)
    assert size % 2 == 0
    assert smooth(size)
    assert not any(smooth(other) for other in range(least, size) if other % 2 == 0)


@pytest.mark.parametrize("shape", [(2, 1, 3), (2, 7, 1), (2, 5, 4), (2, 1031, 70)])
def test_a_swapped_copy_shares_nothing_with_its_source(shape: tuple[int, int, int]) -> None:
    x = torch.randn(shape, generator=stream("swapped"))
    swapped = transposed(x)
    assert swapped.is_contiguous()
    assert torch.equal(swapped, x.mT)
    assert swapped.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("directions", [1, 2])
def test_float32_keeps_four_digits_at_262144_steps(directions: int) -> None:
    rng = stream("long")
    u = torch.randn(1, 262_144, 1, generator=rng)
    kernel, skip = torch.randn(1, directions, 262_144, generator=rng), torch.ones(1)
    single = fft_convolve(u, kernel, skip)
    double = fft_convolve(u.double(), kernel.double(), skip.double())
    assert single.dtype == torch.float32
    assert (single - double).norm() / double.norm() < 1e-5
    last = double[0, -1, 0] - u[0, -1, 0].double()  # which no future follows
    torch.testing.assert_close(last, (kernel[0, 0].flip(0).double() * u[0, :, 0].double()).sum())
