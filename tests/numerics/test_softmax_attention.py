"""Softmax attention: the fused form equals the textbook form and holds no square of scores."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.attention.softmax_attention import attend, naive_attend
from harness.core.seeding import stream


def heads(length: int) -> list[Tensor]:
    """Draw queries, keys and values."""
    rng = stream("heads", length)
    shape = (2, length, 2, 4)
    return [torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_() for _ in "qkv"]


PADDED = torch.tensor([[True] * 7, [True] * 3 + [False] * 4])


@pytest.mark.parametrize(("valid", "causal"), [(None, True), (None, False), (PADDED, False)])
def test_the_fused_form_equals_the_textbook_form_and_its_gradients(
    valid: Tensor | None, causal: bool
) -> None:
    leaves = heads(7)
    fused, naive = (form(*leaves, valid, causal=causal) for form in (attend, naive_attend))
    torch.testing.assert_close(fused, naive)
    direction = torch.randn(fused.shape, generator=stream("direction"), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((fused * direction).sum(), leaves),
        torch.autograd.grad((naive * direction).sum(), leaves),
    )


def test_fused_attention_holds_no_square_of_scores() -> None:
    length = 8192
    q = torch.zeros(1, length, 1, 8)
    with torch.profiler.profile(profile_memory=True) as profile:
        attend(q, q, q, causal=True)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest < length * length


@given(l=st.integers(1, 9), past=st.integers(0, 9), groups=st.sampled_from([1, 2, 4]))
def test_shared_heads_and_last_queries_equal_the_textbook_form_and_its_gradients(
    l: int, past: int, groups: int
) -> None:
    rng = stream("grouped", l, past)
    shapes = [(2, l, 4, 2), (2, l + past, groups, 2), (2, l + past, groups, 2)]
    leaves = [
        torch.randn(shape, generator=rng, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]
    fused, naive = (form(*leaves, causal=True) for form in (attend, naive_attend))
    torch.testing.assert_close(fused, naive)
    direction = torch.randn(fused.shape, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((fused * direction).sum(), leaves),
        torch.autograd.grad((naive * direction).sum(), leaves),
    )


def test_queries_after_a_past_are_masked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baselines.ops.attention.softmax_attention.QUERIES", 2)
    q, k, v = (x.detach() for x in heads(9))
    torch.testing.assert_close(
        attend(q[:, 4:], k, v, causal=True), naive_attend(q, k, v, causal=True)[:, 4:]
    )
