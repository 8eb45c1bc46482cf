"""The short causal convolution: blocks, states and gradients equal torch's own convolution."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.convolution import causal_conv as ops
from harness.core.seeding import stream

CHANNELS = 3


def drawn(length: int, taps: int, batch: int = 2) -> tuple[Tensor, ...]:
    """Draw inputs, taps, biases and the inputs before the first one, in float64."""
    rng = stream("conv", length, taps)
    shapes = (batch, length, CHANNELS), (CHANNELS, taps), (CHANNELS,), (batch, taps - 1, CHANNELS)
    return tuple(
        torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for shape in shapes
    )


@given(
    length=st.integers(1, 40), taps=st.integers(1, 6), silu=st.booleans(), rows=st.integers(1, 9)
)
def test_the_blocks_equal_torchs_convolution_in_value_and_gradients(
    length: int, taps: int, silu: bool, rows: int
) -> None:
    leaves = drawn(length, taps)
    direction = torch.randn(2, length, CHANNELS, generator=stream("direction"), dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "BLOCK", rows * 2 * CHANNELS)
        fast = ops.causal_conv(*leaves, silu=silu)
        gradients = torch.autograd.grad((fast * direction).sum(), leaves)
    slow = ops.naive_causal_conv(*leaves, silu=silu)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(gradients, torch.autograd.grad((slow * direction).sum(), leaves))


def test_an_output_is_the_sum_that_the_formula_says() -> None:
    x, weight, bias, _ = drawn(7, 4)
    y = ops.causal_conv(x, weight, bias)
    for t in range(7):
        terms = [weight[:, 3 - lag] * x[:, t - lag] for lag in range(4) if lag <= t]
        torch.testing.assert_close(y[:, t], bias + sum(terms))


@given(length=st.integers(1, 12), cut=st.integers(0, 12), taps=st.integers(1, 5))
def test_a_sequence_in_two_pieces_or_in_steps_comes_out_as_in_one(
    length: int, cut: int, taps: int
) -> None:
    x, weight, bias, state = (leaf.detach() for leaf in drawn(length, taps))
    cut = min(cut, length)
    whole = ops.causal_conv(x, weight, bias, state)
    first = ops.causal_conv(x[:, :cut], weight, bias, state)
    middle = ops.last_inputs(x[:, :cut], state)
    torch.testing.assert_close(
        torch.cat([first, ops.causal_conv(x[:, cut:], weight, bias, middle)], 1), whole
    )
    for t in range(cut):
        y, state = ops.causal_conv_step(x[:, t], weight, bias, state)
        torch.testing.assert_close(y, whole[:, t])
    torch.testing.assert_close(state, middle)


def test_what_is_left_out_counts_as_zero() -> None:
    x, weight, bias, state = (leaf.detach() for leaf in drawn(9, 3))
    torch.testing.assert_close(
        ops.causal_conv(x, weight), ops.causal_conv(x, weight, 0 * bias, 0 * state)
    )
    y, _ = ops.causal_conv_step(x[:, 0], weight, None, 0 * state)
    torch.testing.assert_close(y, ops.causal_conv(x, weight)[:, 0])
