"""The generalised delta rule: its chunked form is the recurrence, with exact gradients."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans import delta_rule as pairs
from baselines.ops.scans import generalized_delta_rule as module
from baselines.ops.scans.delta_rule import Gates, recurrent_delta_rule
from baselines.ops.scans.generalized_delta_rule import (
    Transition,
    generalized_delta_rule,
    generalized_delta_step,
    recurrent_generalized_delta_rule,
)
from harness.core.seeding import stream

BATCH, HEADS, KEYS, VALUES = 2, 3, 4, 5
Form = Callable[..., tuple[Tensor, Tensor]]


def draw(length: int, steepness: float = 1.0) -> list[Tensor]:
    """Draw q, k, v, a, b, log decays and a state; a and b are such that nothing grows."""
    rng = stream("generalized", length)
    leaves = [
        torch.randn(BATCH, length, HEADS, size, generator=rng, dtype=torch.float64)
        for size in (KEYS, KEYS, VALUES, KEYS, KEYS, KEYS)
    ]
    kappa = F.normalize(leaves[3], dim=-1)
    leaves[3], leaves[4] = -kappa, kappa * leaves[4].sigmoid()
    leaves[5] = -steepness * leaves[5].exp()
    state = torch.randn(BATCH, HEADS, KEYS, VALUES, generator=rng, dtype=torch.float64)
    return [leaf.requires_grad_() for leaf in (*leaves, state)]


def flat(form: Form) -> Form:
    """Let a form take its transition as single tensors."""
    return lambda q, k, v, a, b, log_decay, state: form(q, k, v, Transition(log_decay, a, b), state)


def with_gradients(form: Form, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    y, state = flat(form)(*leaves)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).cos()
    return y, state, *torch.autograd.grad((weight * y).sum() + state.square().sum(), leaves)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short sequences span several chunks, blocks and segments."""
    monkeypatch.setattr(pairs, "SMALLEST", 2)
    monkeypatch.setattr(module, "CHUNK", 8)
    monkeypatch.setattr(module, "SEGMENT", 32)


@given(length=st.integers(1, 45))
def test_chunks_are_the_recurrence_with_its_gradient(length: int) -> None:
    leaves = draw(length)
    expected = with_gradients(recurrent_generalized_delta_rule, leaves)
    torch.testing.assert_close(with_gradients(generalized_delta_rule, leaves), expected)


def test_every_gradient_is_the_derivative() -> None:
    assert torch.autograd.gradcheck(flat(generalized_delta_rule), draw(11), fast_mode=True)


def test_the_recurrence_is_the_papers_product_of_matrices() -> None:
    q, k, v, a, b, log_decay, state = (leaf.detach() for leaf in draw(7))
    y, last = flat(recurrent_generalized_delta_rule)(q, k, v, a, b, log_decay, state)
    state = state.mT  # the paper's has a row for each value feature
    for t in range(7):
        transition = torch.diag_embed(log_decay[:, t].exp())
        transition = transition + a[:, t, :, :, None] * b[:, t, :, None, :]
        state = state @ transition + v[:, t, :, :, None] * k[:, t, :, None, :]
        torch.testing.assert_close(y[:, t], (state @ q[:, t, :, :, None])[..., 0])
    torch.testing.assert_close(last, state.mT)


def test_with_keys_that_erase_what_they_write_it_is_the_delta_rule() -> None:
    q, k, v, _, share, log_decay, state = (leaf.detach() for leaf in draw(20))
    k, beta = F.normalize(k, dim=-1), share.mean(-1, keepdim=True).sigmoid()
    gates = Gates(log_decay, beta[:, :, None], beta[:, :, None])
    expected = recurrent_delta_rule(q, k[:, :, None], v[:, :, None], gates, state)
    a = -beta * log_decay.exp() * k
    torch.testing.assert_close(
        flat(generalized_delta_rule)(q, k, beta * v, a, k, log_decay, state), expected
    )


@given(cut=st.integers(0, 30))
def test_a_sequence_cut_in_two_comes_out_as_in_one_go(cut: int) -> None:
    *inputs, state = (leaf.detach() for leaf in draw(30))
    y, last = flat(generalized_delta_rule)(*inputs, state)
    first, state = flat(generalized_delta_rule)(*(x[:, :cut] for x in inputs), state)
    second, state = flat(generalized_delta_rule)(*(x[:, cut:] for x in inputs), state)
    torch.testing.assert_close((torch.cat([first, second], 1), state), (y, last))


def test_single_positions_are_the_recurrence() -> None:
    *inputs, state = (leaf.detach() for leaf in draw(9))
    y, last = flat(recurrent_generalized_delta_rule)(*inputs, state)
    for now in range(9):
        out, state = flat(generalized_delta_step)(*(x[:, now] for x in inputs), state)
        torch.testing.assert_close(out, y[:, now])
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("steepness", [0.0, 1e-3, 1.0, 1e4])
def test_float32_is_within_1e_5_of_a_float64_loop(
    monkeypatch: pytest.MonkeyPatch, steepness: float
) -> None:
    """At decays of exactly one, near one and at decays that leave nothing."""
    monkeypatch.undo()
    leaves = [leaf.detach().float() for leaf in draw(600, steepness)]
    expected, last = flat(recurrent_generalized_delta_rule)(*(leaf.double() for leaf in leaves))
    y, state = flat(generalized_delta_rule)(*leaves)
    for found, wanted in ((y, expected), (state, last)):
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < 1e-5 * wanted.norm()


def test_it_is_the_naive_form_of_flash_linear_attention() -> None:
    naive = pytest.importorskip("fla.ops.generalized_delta_rule.dplr.naive")
    q, k, v, a, b, log_decay, state = (leaf.detach().float() for leaf in draw(30))
    heads_first = (part.transpose(1, 2) for part in (q * KEYS**0.5, k, v, a, b, log_decay))
    expected, last = naive.dplr_recurrence(*heads_first, state)
    found = flat(generalized_delta_rule)(q, k, v, a, b, log_decay, state)
    torch.testing.assert_close(found, (expected.transpose(1, 2), last))
