"""The gated delta rule: its chunked form is the recurrence, with exact gradients."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans import delta_rule as module
from baselines.ops.scans.delta_rule import Gates, delta_rule, delta_step, recurrent_delta_rule
from harness.core.seeding import stream

BATCH, HEADS, KEYS, VALUES = 2, 3, 4, 5
KINDS = ["none", "scalar", "channel"]
Form = Callable[..., tuple[Tensor, Tensor]]


def draw(length: int, kind: str, steps: int = 1) -> list[Tensor]:
    """Draw q, k, v, log decays, erase and write gates up to 2, and a state."""
    rng = stream("delta", length, kind, steps)
    q, k, v = (HEADS, KEYS), (steps, HEADS, KEYS), (steps, HEADS, VALUES)
    shared = (HEADS, 1), (steps, HEADS, 1), (steps, HEADS, 1)
    shapes = (q, k, v, *((q, k, v) if kind == "channel" else shared))
    leaves = [
        torch.randn(BATCH, length, *shape, generator=rng, dtype=torch.float64) for shape in shapes
    ]
    leaves[1] = F.normalize(leaves[1], dim=-1)
    leaves[3] = -leaves[3].exp() if kind != "none" else torch.zeros_like(leaves[3])
    leaves[4], leaves[5] = (2 * gate.sigmoid() for gate in leaves[4:])
    state = torch.randn(BATCH, HEADS, KEYS, VALUES, generator=rng, dtype=torch.float64)
    return [leaf.requires_grad_() for leaf in (*leaves, state)]


def flat(form: Form) -> Form:
    """Let a form take its gates as single tensors."""
    return lambda q, k, v, log_decay, erase, write, state: form(
        q, k, v, Gates(log_decay, erase, write), state
    )


def with_gradients(form: Form, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    y, state = flat(form)(*leaves)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).cos()
    return y, state, *torch.autograd.grad((weight * y).sum() + state.square().sum(), leaves)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short sequences span several chunks, blocks and segments."""
    for name, size in (("CHUNK", 8), ("SMALLEST", 2), ("SEGMENT", 32)):
        monkeypatch.setattr(module, name, size)


@given(length=st.integers(1, 45), kind=st.sampled_from(KINDS), steps=st.integers(1, 3))
def test_chunks_are_the_recurrence_with_its_gradient(length: int, kind: str, steps: int) -> None:
    leaves = draw(length, kind, steps)
    expected = with_gradients(recurrent_delta_rule, leaves)
    torch.testing.assert_close(with_gradients(delta_rule, leaves), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_recurrence_is_the_papers_product_of_matrices(kind: str) -> None:
    q, k, v, log_decay, erase, write, state = (leaf.detach() for leaf in draw(7, kind))
    y, last = recurrent_delta_rule(q, k, v, Gates(log_decay, erase, write), state)
    eye = torch.eye(KEYS, dtype=torch.float64)
    for now in range(7):
        key = k[:, now, 0]
        transition = eye - key[..., :, None] * (erase[:, now, 0] * key)[..., None, :]
        decayed = log_decay[:, now].exp().expand_as(key)
        added = key[..., :, None] * (write[:, now, 0] * v[:, now, 0])[..., None, :]
        state = transition @ torch.diag_embed(decayed) @ state + added
        torch.testing.assert_close(y[:, now], (state.mT @ q[:, now, :, :, None])[..., 0])
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_every_gradient_is_the_derivative(kind: str, steps: int) -> None:
    assert torch.autograd.gradcheck(flat(delta_rule), draw(11, kind, steps), fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_chunks_blocks_and_segments_is_not_seen(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    leaves = draw(70, kind)
    expected = with_gradients(delta_rule, leaves)
    for chunk, smallest, segment in ((4, 4, 4), (64, 16, 1024)):
        for name, size in (("CHUNK", chunk), ("SMALLEST", smallest), ("SEGMENT", segment)):
            monkeypatch.setattr(module, name, size)
        torch.testing.assert_close(with_gradients(delta_rule, leaves), expected)


@given(cut=st.integers(0, 30), kind=st.sampled_from(KINDS))
def test_a_sequence_cut_in_two_comes_out_as_in_one_go(cut: int, kind: str) -> None:
    *inputs, state = (leaf.detach() for leaf in draw(30, kind))
    y, last = flat(delta_rule)(*inputs, state)
    first, state = flat(delta_rule)(*(x[:, :cut] for x in inputs), state)
    second, state = flat(delta_rule)(*(x[:, cut:] for x in inputs), state)
    torch.testing.assert_close((torch.cat([first, second], 1), state), (y, last))


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_single_positions_are_the_recurrence(kind: str, steps: int) -> None:
    *inputs, state = (leaf.detach() for leaf in draw(9, kind, steps))
    y, last = flat(recurrent_delta_rule)(*inputs, state)
    for now in range(9):
        out, state = flat(delta_step)(*(x[:, now] for x in inputs), state)
        torch.testing.assert_close(out, y[:, now])
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steepness", [0.0, 1e-3, 1.0, 1e4])
def test_float32_is_within_1e_5_of_a_float64_loop(
    monkeypatch: pytest.MonkeyPatch, kind: str, steepness: float
) -> None:
    """At gates of exactly one, near one and at gates that leave nothing."""
    monkeypatch.undo()
    leaves = [leaf.detach() for leaf in draw(600, kind)]
    leaves[3] = leaves[3] * steepness
    leaves = [leaf.float() for leaf in leaves]
    expected, last = flat(recurrent_delta_rule)(*(leaf.double() for leaf in leaves))
    y, state = flat(delta_rule)(*leaves)
    for found, wanted in ((y, expected), (state, last)):
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < 1e-5 * wanted.norm()


def test_an_erase_gate_of_two_reflects_without_loss() -> None:
    q, k, v, log_decay, erase, write, state = (leaf.detach() for leaf in draw(40, "none"))
    gates = Gates(log_decay, torch.full_like(erase, 2.0), torch.zeros_like(write))
    _, last = delta_rule(q, k, v, gates, state)
    torch.testing.assert_close(last.norm(dim=(-2, -1)), state.norm(dim=(-2, -1)))


@pytest.mark.parametrize(("batch", "length"), [(0, 5), (2, 0), (0, 0)])
def test_nothing_comes_out_of_nothing(batch: int, length: int) -> None:
    *inputs, state = (leaf.detach()[:batch] for leaf in draw(5, "scalar"))
    y, last = flat(delta_rule)(*(x[:, :length] for x in inputs), state)
    assert y.shape == (batch, length, HEADS, VALUES)
    assert torch.equal(last, state) or batch == 0
