"""Convolution of inputs that come one by one: steps and pieces give the direct sums."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.convolution import online_convolution
from baselines.ops.convolution.fft_convolution import direct_convolve
from baselines.ops.convolution.online_convolution import (
    DIRECT,
    OnlineConvolution,
    OnlineState,
    block_length,
)
from harness.core.seeding import stream

CHANNELS = 3


def drawn(taps: int, length: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Draw a kernel, skips and two sequences."""
    rng = stream("online", taps, length)
    shapes = (CHANNELS, taps), (CHANNELS,), (2, length, CHANNELS)
    return tuple(torch.randn(shape, generator=rng, dtype=dtype) for shape in shapes)


def start(dtype: torch.dtype = torch.float64) -> OnlineState:
    """Return the state before two sequences."""
    return OnlineState(torch.zeros(2, DIRECT, CHANNELS, dtype=dtype), torch.tensor(0))


def walked(online: OnlineConvolution, u: Tensor, state: OnlineState) -> tuple[Tensor, OnlineState]:
    """Take a step at each position."""
    outputs = []
    for position in range(u.shape[1]):
        y, state = online.step(u[:, position], state)
        outputs.append(y)
    return torch.stack(outputs, 1), state


@given(taps=st.integers(1, 300), length=st.integers(1, 700))
@settings(max_examples=25, deadline=None)
def test_steps_give_the_direct_sums_also_where_no_tap_reaches(taps: int, length: int) -> None:
    kernel, skip, u = drawn(taps, length)
    y, state = walked(OnlineConvolution(kernel, skip), u, start())
    torch.testing.assert_close(y, direct_convolve(u, kernel[:, None], skip))
    assert state.block.shape[1] == block_length(length, taps)


@given(taps=st.integers(1, 300), cuts=st.lists(st.integers(0, 400), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_pieces_of_any_lengths_give_the_direct_sums_and_the_state_of_steps(
    taps: int, cuts: list[int]
) -> None:
    kernel, skip, u = drawn(taps, sum(cuts) + 1)
    online, state, outputs = OnlineConvolution(kernel, skip), start(), []
    for piece in u[:, :-1].split(cuts, 1):
        y, state = online.advance(piece, state)
        outputs.append(y)
    y, state = walked(online, u[:, -1:], state)
    whole = torch.cat([*outputs, y], 1)
    torch.testing.assert_close(whole, direct_convolve(u, kernel[:, None], skip))
    torch.testing.assert_close(state, walked(online, u, start())[1])


def test_few_channels_at_a_time_and_no_cached_spectra_give_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel, skip, u = drawn(200, 520)
    kept, _ = walked(OnlineConvolution(kernel, skip), u, start())
    monkeypatch.setattr(online_convolution, "CACHED", 32)
    monkeypatch.setattr(online_convolution, "BLOCK", 600)
    split, _ = walked(OnlineConvolution(kernel, skip), u, start())
    torch.testing.assert_close(split, kept)


def test_thousands_of_steps_in_float32_keep_five_digits() -> None:
    kernel, skip, u = drawn(1500, 4500)
    expected = direct_convolve(u, kernel[:, None], skip)
    single, _ = walked(
        OnlineConvolution(kernel.float(), skip.float()), u.float(), start(torch.float32)
    )
    assert (single - expected).norm() / expected.norm() < 1e-5


@pytest.mark.parametrize(("done", "held"), [(0, 32), (31, 32), (32, 64), (100, 128), (10**6, 256)])
def test_a_block_doubles_until_the_kernel_fits(done: int, held: int) -> None:
    assert block_length(done, 129) == block_length(done, 256) == held
