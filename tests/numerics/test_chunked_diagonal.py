"""The chunked form of diagonal systems equals the recurrence, in gradients and states too."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.convolution.fft_convolution import direct_convolve
from baselines.ops.ssm import chunked_diagonal as ops
from baselines.ops.ssm import diagonal
from baselines.ops.ssm.chunked_diagonal import chunked_diagonal_ssm, recurrent_diagonal_ssm
from harness.core.seeding import stream

CHANNELS, MODES = 3, 2


def leaves(length: int, kernels: int, *, shared: bool) -> list[Tensor]:
    """Draw input, weights, poles, skip and state in float64."""
    rng = stream("chunked", length, kernels)
    groups = 1 if shared else CHANNELS
    decay = -torch.rand(groups, MODES, generator=rng, dtype=torch.float64) / 5
    phase = 7 * torch.randn(groups, MODES, generator=rng, dtype=torch.float64)
    drawn = [
        torch.randn(2, length, CHANNELS, generator=rng, dtype=torch.float64),
        torch.randn(CHANNELS, kernels, MODES, generator=rng, dtype=torch.complex128),
        torch.complex(decay, phase).exp(),
        torch.randn(CHANNELS, generator=rng, dtype=torch.float64),
        torch.randn(2, CHANNELS, MODES, generator=rng, dtype=torch.complex128),
    ]
    return [leaf.requires_grad_() for leaf in drawn]


@given(
    length=st.one_of(st.integers(1, 40), st.integers(41, 300)),
    chunk=st.sampled_from([1, 4, 128]),
    kernels=st.sampled_from([1, 2]),
    shared=st.booleans(),
)
@settings(max_examples=30)
def test_it_equals_the_recurrence_and_its_gradients(
    length: int, chunk: int, kernels: int, shared: bool
) -> None:
    given = leaves(length, kernels, shared=shared)
    direction = torch.randn(given[0].shape, generator=stream("to"), dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "CHUNK", chunk)
        patch.setattr(ops, "BLOCK", 4 * length)  # two channels, then one
        fast = chunked_diagonal_ssm(*given)
        gradients = torch.autograd.grad((fast * direction).sum(), given)
    walked = recurrent_diagonal_ssm(*given)
    torch.testing.assert_close(fast, walked)
    torch.testing.assert_close(gradients, torch.autograd.grad((walked * direction).sum(), given))


@pytest.mark.parametrize("kernels", [1, 2])
def test_without_a_state_it_is_the_convolution_as_written(kernels: int) -> None:
    u, weight, pole, skip, _ = leaves(300, kernels, shared=False)
    lags = torch.arange(300, dtype=torch.float64)
    kernel = (weight[..., None] * (pole.log()[..., None] * lags).exp()[:, None]).sum(2).real
    torch.testing.assert_close(
        chunked_diagonal_ssm(u, weight, pole, skip), direct_convolve(u, kernel, skip)
    )


def test_a_sequence_cut_in_two_carries_its_state() -> None:
    u, weight, pole, skip, state = leaves(301, 1, shared=True)
    whole = chunked_diagonal_ssm(u, weight, pole, skip, state)
    first, second = u.split((130, 171), 1)
    middle = diagonal.final_state(pole, first, state)
    pieces = [
        chunked_diagonal_ssm(first, weight, pole, skip, state),
        chunked_diagonal_ssm(second, weight, pole, skip, middle),
    ]
    torch.testing.assert_close(torch.cat(pieces, 1), whole)


@given(count=st.integers(1, 200), reverse=st.booleans())
def test_boundary_states_are_those_of_single_steps(count: int, reverse: bool) -> None:
    rng = stream("carries", count)
    pole = torch.randn(2, 3, generator=rng, dtype=torch.complex128) / 3
    x = torch.randn(2, 2, count, 3, generator=rng, dtype=torch.complex128)
    state = torch.randn(2, 2, 3, generator=rng, dtype=torch.complex128)
    fast, naive = torch.empty_like(x), torch.empty_like(x)
    torch.testing.assert_close(
        ops.boundary_scan(pole, x, state, fast, reverse=reverse),
        ops.naive_boundary_scan(pole, x, state, naive, reverse=reverse),
    )
    torch.testing.assert_close(fast, naive)


def test_float32_keeps_four_digits_at_262144_steps() -> None:
    rng = stream("long")
    decay = -torch.logspace(-6, -3, 8, dtype=torch.float64)
    phase = 3 * torch.rand(8, generator=rng, dtype=torch.float64)
    pole = torch.complex(decay, phase).exp()[None]
    weight = torch.randn(1, 2, 8, generator=rng, dtype=torch.complex128)
    u = torch.randn(1, 262_144, 1, generator=rng, dtype=torch.float64)
    skip = torch.ones(1, dtype=torch.float64)
    double = chunked_diagonal_ssm(u, weight, pole, skip)
    single = chunked_diagonal_ssm(u.float(), weight.to(torch.complex64), pole, skip.float())
    assert single.dtype == torch.float32
    assert (single - double).norm() / double.norm() < 1e-5
    last = slice(-4096, None)
    assert (single - double)[:, last].norm() / double[:, last].norm() < 1e-4
    torch.testing.assert_close(double[:, :200], direct_tail(u, weight, pole)[:, :200])


def direct_tail(u: Tensor, weight: Tensor, pole: Tensor) -> Tensor:
    """Convolve the first positions with kernels that reach the whole future."""
    taps = diagonal.textbook_kernel(weight, pole, u.shape[1])
    past = direct_convolve(u[:, :200], taps[:, :1, :200], torch.ones(1, dtype=torch.float64))
    future = [(taps[0, 1, : len(u[0]) - i - 1] * u[0, i + 1 :, 0]).sum() for i in range(200)]
    return past + torch.stack(future)[None, :, None]


def test_the_working_precision_of_the_input_comes_back() -> None:
    u, weight, pole, skip, _ = (leaf.detach() for leaf in leaves(40, 1, shared=False))
    expected = chunked_diagonal_ssm(u, weight, pole, skip)
    with torch.autocast("cpu", torch.bfloat16):
        y = chunked_diagonal_ssm(u.bfloat16(), weight.to(torch.complex64), pole, skip.float())
    assert y.dtype == torch.bfloat16
    assert (y - expected).norm() / expected.norm() < 0.01


def test_it_saves_its_input_and_nothing_else_as_long() -> None:
    u = torch.zeros(1, 32_768, 2, requires_grad=True)
    pole = torch.full((2, 1), 0.9, dtype=torch.complex128)
    weight = torch.ones(2, 1, 1, dtype=torch.complex64, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        chunked_diagonal_ssm(u, weight, pole, torch.ones(2))
    large = [x for x in saved if x.numel() > ops.CHUNK**2 * 2]
    assert [x.data_ptr() for x in large] == [u.data_ptr()]
