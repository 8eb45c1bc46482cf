"""The short causal convolution: blocks, states and gradients equal torch's own convolution."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.convolution import causal_conv as ops
from baselines.ops.scans import native
from harness.core.seeding import stream

CHANNELS = 3
needs_library = pytest.mark.skipif(native.library() is None, reason="no compiler built it")
LEVELS = native.LEVELS[: native.library().scan_level() + 1] if native.library() else ()


def drawn(length: int, taps: int, batch: int = 2, channels: int = CHANNELS) -> tuple[Tensor, ...]:
    """Draw inputs, taps, biases and the inputs before the first one, in float64."""
    rng, rows = stream("conv", length, taps), (batch, length, channels)
    shapes = rows, (channels, taps), (channels,), (batch, taps - 1, channels)
    return tuple(
        torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for shape in shapes
    )


def is_torchs(form: Callable[..., Tensor], leaves: tuple[Tensor, ...], silu: bool) -> None:
    """Compare a form's outputs and gradients with those of torch's own convolution."""
    fast, slow = form(*leaves, silu=silu), ops.naive_causal_conv(*leaves, silu=silu)
    direction = torch.randn(fast.shape, generator=stream("direction"), dtype=torch.float64)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(
        torch.autograd.grad((fast * direction).sum(), leaves),
        torch.autograd.grad((slow * direction).sum(), leaves),
    )


@given(
    length=st.integers(1, 40), taps=st.integers(1, 6), silu=st.booleans(), rows=st.integers(1, 9)
)
def test_the_blocks_equal_torchs_convolution_in_value_and_gradients(
    length: int, taps: int, silu: bool, rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "BLOCK", rows * 2 * CHANNELS)
        is_torchs(ops.blocked_causal_conv, drawn(length, taps), silu)


@needs_library
@given(
    length=st.integers(1, 300), taps=st.integers(1, 6), batch=st.integers(1, 3),
    channels=st.integers(1, 40), silu=st.booleans(), level=st.sampled_from(LEVELS or ("",)),
)  # fmt: skip
def test_the_compiled_convolution_equals_torchs_in_value_and_gradients(
    *, length: int, taps: int, batch: int, channels: int, silu: bool, level: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSM_BENCH_NATIVE", level)
        is_torchs(ops.native_causal_conv, drawn(length, taps, batch, channels), silu)


@needs_library
def test_the_compiled_convolution_keeps_single_precision_where_silu_fades() -> None:
    x = torch.linspace(-80, 80, 3001)[None, :, None]
    one, zero = torch.ones(1, 1), torch.zeros(1)
    y = ops.native_causal_conv(x, one, zero, x[:, :0], silu=True)
    exact = F.silu(x.double())
    torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=0)


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
