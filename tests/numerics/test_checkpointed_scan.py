"""A checkpointed scan gives what the recurrence gives in one go, and remembers its borders only."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from harness.core.seeding import stream

State = tuple[Tensor, Tensor]


def recurrence(state: State, x: Tensor, gate: Tensor, W: Tensor) -> tuple[Tensor, State]:
    """Run two states, the second of which reads the first."""
    a, b = state
    outputs = []
    for position in range(x.shape[1]):
        a = gate[:, position].sigmoid() * a + x[:, position] @ W
        b = (b + a).tanh()
        outputs.append(a * b)
    return torch.stack(outputs, 1), (a, b)


def position_wise(state: tuple[()], x: Tensor, W: Tensor) -> tuple[Tensor, tuple[()]]:
    """Map each position on its own."""
    return torch.tanh(x @ W), state


def leaves(length: int) -> list[Tensor]:
    """Draw two states, two inputs and a matrix."""
    rng = stream("checkpointed", length)
    shapes = (2, 3), (2, 3), (2, length, 3), (2, length, 3), (3, 3)
    drawn = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes)
    return [leaf.requires_grad_() for leaf in drawn]


@given(length=st.integers(1, 30), segment=st.integers(1, 40))
def test_segments_equal_the_whole_in_outputs_states_and_every_gradient(
    length: int, segment: int
) -> None:
    a, b, x, gate, W = given = leaves(length)
    found = []
    for y, last in (
        checkpointed_scan(recurrence, segment, (a, b), (x, gate), (W,)),
        recurrence((a, b), x, gate, W),
    ):
        loss = y.sin().sum() + sum(part.square().sum() for part in last)
        found.append((y, *last, *torch.autograd.grad(loss, given)))
    torch.testing.assert_close(*found)


@given(length=st.integers(1, 30), segment=st.integers(1, 40))
def test_a_map_of_each_position_needs_no_state(length: int, segment: int) -> None:
    _, _, x, _, W = leaves(length)
    y, state = checkpointed_scan(position_wise, segment, (), (x,), (W,))
    assert state == ()
    expected, _ = position_wise((), x, W)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(
        torch.autograd.grad(y.sin().sum(), (x, W)),
        torch.autograd.grad(expected.sin().sum(), (x, W)),
    )


def test_the_gradient_is_computed_in_the_precision_of_the_forward_pass() -> None:
    _, _, x, _, W = (leaf.detach().float().requires_grad_() for leaf in leaves(9))
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = checkpointed_scan(position_wise, 4, (), (x,), (W,))
        expected, _ = position_wise((), x, W)
    assert y.dtype == torch.bfloat16
    gradients = torch.autograd.grad(y.sum(), x), torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@pytest.mark.parametrize(("segment", "segments"), [(4, 25), (50, 2), (100, 1)])
def test_only_inputs_parameters_and_the_states_between_segments_are_saved(
    segment: int, segments: int
) -> None:
    a, b, x, gate, W = leaves(100)
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        checkpointed_scan(recurrence, segment, (a, b), (x, gate), (W,))
    assert sum(saved) == x.numel() + gate.numel() + W.numel() + segments * (a.numel() + b.numel())
