"""HGRN2: the layer is the paper's recurrence, and its layers share their lower bounds."""

import copy

import pytest
import torch
from torch import Tensor

from baselines.hgrn2 import HGRN2, HGRN2Layer
from harness.core.seeding import scope, stream


def stack(depth: int = 3, *, causal: bool = True, expand: int = 2) -> list[HGRN2Layer]:
    """Build float64 layers of width 4 with bounds that are not all alike."""
    with scope("layers"):
        layers = HGRN2(expand=expand).stack(depth=depth, width=4, length=8, causal=causal)
        if layers[0].bounds is not None:
            torch.nn.init.normal_(layers[0].bounds)
        return list(torch.nn.ModuleList(layers).double())


def features(length: int) -> Tensor:
    return torch.randn(2, length, 4, generator=stream("features", length), dtype=torch.float64)


def walked(mixer: HGRN2Layer, u: Tensor) -> Tensor:
    """Do what the paper says, position by position."""
    value, read, forget = mixer.in_proj(u).chunk(3, -1)
    i, o = value * value.sigmoid(), read.sigmoid()
    beta = mixer.lower_bound()
    f = beta + (1 - beta) * forget.sigmoid()

    def direction(order: range) -> Tensor:
        S, ys = u.new_zeros(2, 4 // mixer.expand, mixer.expand, mixer.expand), torch.zeros_like(u)
        for t in order:
            f_t, i_t, o_t = (x[:, t].unflatten(-1, (-1, mixer.expand)) for x in (f, i, o))
            S = f_t[..., None] * S + torch.einsum("bhk,bhv->bhkv", 1 - f_t, i_t)
            ys[:, t] = torch.einsum("bhkv,bhk->bhv", S, o_t).flatten(1)
        return ys

    y = direction(range(u.shape[1]))
    if not mixer.causal:
        y = y + direction(range(u.shape[1] - 1, -1, -1))
    return mixer.out_proj(mixer.norm(y))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [1, 7, 70])
@pytest.mark.parametrize("expand", [1, 2, 4])
def test_the_layer_equals_the_papers_recurrence(length: int, causal: bool, expand: int) -> None:
    mixer, u = stack(causal=causal, expand=expand)[1], features(length)
    torch.testing.assert_close(mixer(u), walked(mixer, u))


@pytest.mark.parametrize("length", [1, 65, 130])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(length: int) -> None:
    mixer, u = stack()[2], features(length + 3)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :length])
    torch.testing.assert_close(mixer.advance(u[:, length:], state)[0], whole[:, length:])
    for position in range(length, length + 3):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


def test_lower_bounds_are_the_cumulative_shares_less_the_first() -> None:
    layers = stack(4)
    shares = layers[0].bounds.softmax(0)
    expected = shares.cumsum(0) - shares[0]
    torch.testing.assert_close(torch.stack([x.lower_bound() for x in layers]), expected)
    assert torch.equal(layers[0].lower_bound(), torch.zeros(4, dtype=torch.float64))


def test_gates_stay_above_their_lower_bound() -> None:
    mixer = stack(4)[3]
    *_, f = mixer.signals(100 * features(30))
    assert (f.flatten(-2) >= mixer.lower_bound()).all()
    assert (f <= 1).all()


def test_keys_keep_their_digits_where_the_gate_is_almost_one() -> None:
    with scope("layers"):
        mixer = HGRN2(expand=4).build(width=4, length=8, causal=True)
    with torch.no_grad():
        mixer.in_proj.bias[8:] = 20.0
    _, single, *_ = mixer.signals(torch.zeros(1, 1, 4))
    torch.testing.assert_close(single.double(), torch.full_like(single, -20.0).double().sigmoid())


def test_layers_keep_sharing_through_copies_types_and_saved_states() -> None:
    network = torch.nn.ModuleList(HGRN2(expand=2).stack(depth=3, width=4, length=8, causal=True))
    other = copy.deepcopy(network).double()
    other.load_state_dict({k: v + 1 for k, v in network.double().state_dict().items()})
    for made in (network, other):
        assert len({id(x.bounds) for x in made}) == 1
        assert sum(name.endswith("bounds") for name, _ in made.named_parameters()) == 1
        assert made[2].bounds.dtype == torch.float64
    with torch.no_grad():
        other[0].bounds[1] += 1
    assert not torch.allclose(other[2].lower_bound(), network[2].lower_bound())


def test_padding_reaches_no_valid_position_from_behind() -> None:
    mixer, u = stack(causal=False)[1], features(9)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))
