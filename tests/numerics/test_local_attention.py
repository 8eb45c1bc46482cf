"""Local attention: windows equal the masked square, in output, gradients, steps and pieces."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.local_attention import LocalAttention, LocalLayer
from baselines.ops.attention.softmax_attention import naive_attend
from baselines.ops.attention.window_attention import (
    attend_causal_windows,
    attend_windows,
    naive_attend_windows,
)
from baselines.transformer import Transformer
from harness.api import tensor_bytes
from harness.core.seeding import scope, stream


def heads(length: int) -> list[Tensor]:
    rng = stream("heads", length)
    shape = (2, length, 2, 3)
    return [torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for _ in "qkv"]


def layer(chunk: int, *, causal: bool = True) -> LocalLayer:
    with scope("layer"):
        return LocalAttention(chunk=chunk).build(width=16, length=8, causal=causal).double()


def features(length: int) -> Tensor:
    return torch.randn(2, length, 16, generator=stream("u", length), dtype=torch.float64)


@given(length=st.integers(1, 20), chunk=st.integers(1, 8), causal=st.booleans())
def test_windows_equal_the_masked_square_and_its_gradients(
    length: int, chunk: int, causal: bool
) -> None:
    leaves = heads(length)
    form = attend_causal_windows if causal else partial(attend_windows, lengths=None)
    fast = form(*leaves, chunk=chunk)
    naive = naive_attend_windows(*leaves, chunk, causal=causal)
    torch.testing.assert_close(fast, naive)
    direction = torch.randn(fast.shape, generator=stream("to"), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((fast * direction).sum(), leaves),
        torch.autograd.grad((naive * direction).sum(), leaves),
    )


def test_a_query_sees_its_window_and_the_whole_one_before() -> None:
    q, k, v = (x.detach() for x in heads(11))
    mixed = attend_causal_windows(q, k, v, 3)
    for position in range(11):
        first = max(0, position // 3 - 1) * 3
        seen = slice(first, position + 1)
        expected = naive_attend(q[:, position : position + 1], k[:, seen], v[:, seen])
        torch.testing.assert_close(mixed[:, position : position + 1], expected)


@pytest.mark.parametrize("causal", [True, False])
def test_a_short_sequence_gets_the_transformers_attention(causal: bool) -> None:
    mixer = layer(16, causal=causal)
    with scope("other"):
        full = Transformer().build(width=16, length=8, causal=causal).double()
    full.load_state_dict(mixer.state_dict())
    torch.testing.assert_close(mixer(features(13)), full(features(13)))


@given(length=st.integers(1, 17), chunk=st.integers(1, 6), first=st.integers(0, 17))
def test_steps_and_pieces_continue_the_sequence(length: int, chunk: int, first: int) -> None:
    mixer, u = layer(chunk), features(length)
    first = min(first, length)
    whole = mixer(u)
    before, state = mixer.advance(u[:, :first], mixer.initial_state(2))
    after, _ = mixer.advance(u[:, first:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), whole)
    state = mixer.prefill(u[:, :first])
    for position in range(first, length):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    assert mixer.state_bytes(length) == tensor_bytes(state) / 2 + 4


@given(lengths=st.tuples(st.integers(1, 13), st.integers(1, 13)), chunk=st.integers(1, 5))
def test_padding_reaches_no_valid_position(lengths: tuple[int, int], chunk: int) -> None:
    mixer, u = layer(chunk, causal=False), features(13)
    u.requires_grad_()
    y = mixer(u, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone = mixer(u[row : row + 1, :length])[0]
        torch.testing.assert_close(y[row, :length], alone)
    (gradient,) = torch.autograd.grad(sum(y[r, :n].sum() for r, n in enumerate(lengths)), u)
    assert gradient.isfinite().all()


def test_memory_grows_with_the_length_and_not_its_square() -> None:
    def peak(length: int) -> int:
        q = torch.zeros(1, length, 1, 8)
        with torch.profiler.profile(profile_memory=True) as profile:
            attend_causal_windows(q, q, q, 64)
        return max(event.cpu_memory_usage for event in profile.events())

    assert peak(8192) < 2.5 * peak(4096)
