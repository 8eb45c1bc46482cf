"""The gated recurrence: blocks side by side equal the walk, in both directions of time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.scans import gated_scan as ops
from harness.core.seeding import stream


def draw(length: int, dtype: torch.dtype = torch.float64, channels: int = 3) -> list[Tensor]:
    """Draw gates, some of them shut, what is added, and a state."""
    rng = stream("gated scan", length)
    a = torch.rand(2, length, channels, generator=rng, dtype=dtype)
    a = a.masked_fill(torch.rand(a.shape, generator=rng) < 0.1, 0)
    b = torch.randn(2, length, channels, generator=rng, dtype=dtype)
    initial = torch.randn(2, channels, generator=rng, dtype=dtype)
    return [leaf.requires_grad_() for leaf in (a, b, initial)]


def with_gradients(form, leaves: list[Tensor], *, reverse: bool) -> tuple[Tensor, ...]:
    states, last = form(*leaves, reverse=reverse)
    weight = torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view_as(states).cos()
    loss = (weight * states).sum() + last.square().sum()
    return states, last, *torch.autograd.grad(loss, leaves)


@given(length=st.integers(1, 600), reverse=st.booleans())
def test_the_scan_equals_the_walk_in_states_and_gradients(length: int, reverse: bool) -> None:
    leaves = draw(length)
    torch.testing.assert_close(
        with_gradients(ops.gated_scan, leaves, reverse=reverse),
        with_gradients(ops.naive_gated_scan, leaves, reverse=reverse),
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_pieces_of_a_long_sequence_go_on_where_the_last_one_ended(
    monkeypatch: pytest.MonkeyPatch, reverse: bool
) -> None:
    leaves = draw(333)
    whole = with_gradients(ops.gated_scan, leaves, reverse=reverse)
    monkeypatch.setattr(ops, "SEGMENT", 300)
    torch.testing.assert_close(with_gradients(ops.gated_scan, leaves, reverse=reverse), whole)


@given(length=st.integers(1, 80), reverse=st.booleans())
def test_the_scan_equals_the_sum_of_inputs_times_products_of_gates(
    length: int, reverse: bool
) -> None:
    a, b, initial = (leaf.detach() for leaf in draw(length))
    states, last = ops.gated_scan(a, b, initial, reverse=reverse)
    if reverse:
        a, b, states = a.flip(1), b.flip(1), states.flip(1)
    for now in {0, length // 2, length - 1}:
        terms = [a[:, : now + 1].prod(1) * initial]
        terms += [a[:, then + 1 : now + 1].prod(1) * b[:, then] for then in range(now + 1)]
        torch.testing.assert_close(states[:, now], torch.stack(terms).sum(0))
    torch.testing.assert_close(last, states[:, -1])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 40])
def test_every_gradient_of_the_scan_is_the_derivative(length: int, reverse: bool) -> None:
    leaves = draw(length, channels=1)
    assert torch.autograd.gradcheck(lambda *x: ops.gated_scan(*x, reverse=reverse), leaves)


def test_no_position_leaves_the_state_as_it_was() -> None:
    a, b, initial = draw(0)
    states, last = ops.gated_scan(a, b, initial)
    assert states.shape == b.shape
    assert torch.equal(last, initial)


def test_float32_keeps_four_digits_at_262144_steps_of_slow_decay() -> None:
    rng = stream("long")
    a = 1 - torch.rand(1, 262_144, 2, generator=rng, dtype=torch.float64) * 1e-4
    b = torch.randn(1, 262_144, 2, generator=rng, dtype=torch.float64)
    initial = torch.zeros(1, 2, dtype=torch.float64)
    double, _ = ops.gated_scan(a, b, initial)
    single, _ = ops.gated_scan(a.float(), b.float(), initial.float())
    last = slice(-4096, None)
    error = (single.double() - double)[:, last].norm() / double[:, last].norm()
    assert error < 1e-4


def test_half_precision_is_summed_in_float32() -> None:
    a, b, initial = (leaf.detach().bfloat16() for leaf in draw(500))
    states, last = ops.gated_scan(a, b, initial)
    exact, _ = ops.gated_scan(a.double(), b.double(), initial.double())
    assert states.dtype == last.dtype == torch.bfloat16
    torch.testing.assert_close(states, exact.bfloat16())
