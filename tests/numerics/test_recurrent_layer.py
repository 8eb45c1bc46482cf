"""LSTM and GRU: torch's loops equal the equations, in steps, in pieces and beside padding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.gru import GRU
from baselines.lstm import LSTM
from baselines.ops.layers import recurrent_layer
from baselines.ops.layers.recurrent_layer import RecurrentLayer
from harness.api import tensor_bytes
from harness.core.seeding import scope, stream

RECIPES = [LSTM(), GRU()]


def layer(recipe: LSTM | GRU, *, causal: bool = True) -> RecurrentLayer:
    with scope("layer"):
        return recipe.build(width=3, length=6, causal=causal).double()


def features(length: int) -> Tensor:
    return torch.randn(2, length, 3, generator=stream("u", length), dtype=torch.float64)


def walk(recipe: LSTM | GRU, weights: dict[str, Tensor], sequence: Tensor) -> Tensor:
    """Run the equations of one direction."""
    h = c = sequence.new_zeros(2, 3)
    out = []
    for u_t in sequence.unbind(1):
        given = u_t @ weights["weight_ih_l0"].mT + weights["bias_ih_l0"]
        kept = h @ weights["weight_hh_l0"].mT + weights["bias_hh_l0"]
        if recipe == LSTM():
            i, f, g, o = (given + kept).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        else:
            (r, z, n), (r_h, z_h, n_h) = given.chunk(3, -1), kept.chunk(3, -1)
            z = (z + z_h).sigmoid()
            h = (1 - z) * (n + (r + r_h).sigmoid() * n_h).tanh() + z * h
        out.append(h)
    return torch.stack(out, 1)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("causal", [True, False])
def test_the_loop_equals_the_equations_and_their_gradients(
    recipe: LSTM | GRU, causal: bool
) -> None:
    mixer, u = layer(recipe, causal=causal), features(6).requires_grad_()
    hidden = walk(recipe, dict(mixer.rnn.named_parameters()), u)
    if mixer.backward_rnn is not None:
        back = walk(recipe, dict(mixer.backward_rnn.named_parameters()), u.flip(1)).flip(1)
        hidden = torch.cat([hidden, back], -1)
    expected, found = mixer.out(hidden), mixer(u)
    torch.testing.assert_close(found, expected)
    leaves = [u, *mixer.parameters()]
    direction = torch.randn(found.shape, generator=stream("to"), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((found * direction).sum(), leaves),
        torch.autograd.grad((expected * direction).sum(), leaves),
    )


@given(recipe=st.sampled_from(RECIPES), length=st.integers(1, 9), first=st.integers(0, 9))
def test_steps_and_pieces_continue_the_sequence(
    recipe: LSTM | GRU, length: int, first: int
) -> None:
    mixer, u, first = layer(recipe), features(length), min(first, length)
    whole = mixer(u)
    before, state = mixer.advance(u[:, :first], mixer.initial_state(2))
    after, last = mixer.advance(u[:, first:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), whole)
    torch.testing.assert_close(last, mixer.prefill(u))
    for position in range(first, length):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    assert tensor_bytes(mixer.initial_state(1)) == mixer.state_bytes(length)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_padding_reaches_no_valid_position(recipe: LSTM | GRU) -> None:
    mixer, u = layer(recipe, causal=False), features(6)
    padded = u.clone()
    padded[1, 4:] = 1e6
    y = mixer(padded, torch.tensor([6, 4]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :4], mixer(u[1:, :4]))


@given(
    recipe=st.sampled_from(RECIPES),
    causal=st.booleans(),
    length=st.integers(1, 11),
    rows=st.integers(1, 5),
)
def test_segments_recomputed_for_the_gradient_equal_the_whole_loop(
    recipe: LSTM | GRU, causal: bool, length: int, rows: int
) -> None:
    mixer, u = layer(recipe, causal=causal), features(length).requires_grad_()
    lengths, leaves = torch.tensor([length, (length + 1) // 2]), [u, *mixer.parameters()]
    direction = torch.randn(u.shape, generator=stream("to"), dtype=torch.float64)

    def outcome() -> tuple[Tensor, ...]:
        y = mixer(u, lengths)
        return y, *torch.autograd.grad((y * direction).sum(), leaves)

    whole = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent_layer, "WHOLE", 0)
        patch.setattr(recurrent_layer, "SEGMENT", rows * u[:, 0].numel())
        segments = outcome()
    torch.testing.assert_close(segments, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_long_sequence_keeps_little_but_its_inputs_for_the_gradient(
    recipe: LSTM | GRU, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixer, u = layer(recipe), features(128).requires_grad_()

    def kept() -> int:
        sizes: dict[int, int] = {}

        def keep(saved: Tensor) -> Tensor:
            sizes[saved.data_ptr()] = saved.numel()
            return saved

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            mixer(u)
        return sum(sizes.values())

    whole = kept()
    monkeypatch.setattr(recurrent_layer, "WHOLE", 0)
    monkeypatch.setattr(recurrent_layer, "SEGMENT", 8 * u[:, 0].numel())
    assert kept() < whole / 3
