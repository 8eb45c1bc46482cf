"""LSTM and GRU: torch's loops equal the equations, in steps, in pieces and beside padding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.gru import GRU
from baselines.lstm import LSTM
from baselines.ops.recurrent_layer import RecurrentLayer
from harness.api import tensor_bytes
from harness.seeding import scope, stream

RECIPES = [LSTM(), GRU()]


def layer(recipe: LSTM | GRU, *, causal: bool = True) -> RecurrentLayer:
    with scope("layer"):
        return recipe.build(width=3, length=6, causal=causal).double()


def features(length: int) -> Tensor:
    return torch.randn(2, length, 3, generator=stream("u", length), dtype=torch.float64)


def walk(recipe: LSTM | GRU, weights: dict[str, Tensor], sequence: Tensor, way: str) -> Tensor:
    """Run the equations of one direction."""
    h = c = sequence.new_zeros(2, 3)
    out = []
    for u_t in sequence.unbind(1):
        given = u_t @ weights[f"weight_ih_l0{way}"].mT + weights[f"bias_ih_l0{way}"]
        kept = h @ weights[f"weight_hh_l0{way}"].mT + weights[f"bias_hh_l0{way}"]
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
    weights = dict(mixer.rnn.named_parameters())
    hidden = walk(recipe, weights, u, "")
    if not causal:
        back = walk(recipe, weights, u.flip(1), "_reverse").flip(1)
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
