"""RetNet: the layer is its paper's sum over pairs, whole, in pieces and step by step."""

import pytest
import torch
from torch import Tensor

from baselines.retnet import RetNet, RetNetLayer
from harness.api import SpecError
from harness.core.seeding import scope, stream

WIDTH, HEADS = 8, 2
KEYS, VALUES = WIDTH // HEADS, 2 * WIDTH // HEADS


def layer(*, causal: bool = True) -> RetNetLayer:
    with scope("layers"):
        mixer = RetNet(heads=HEADS).build(width=WIDTH, length=8, causal=causal).double()
        torch.nn.init.normal_(mixer.norm.weight)
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("features", length), dtype=torch.float64)


def retained(mixer: RetNetLayer, u: Tensor) -> Tensor:
    """Sum over pairs of positions, with the paper's complex decays, up to the norm."""
    q, k, v = (u @ mixer.in_proj.weight.T).split([WIDTH, WIDTH, HEADS * VALUES], -1)
    q, k, v = (part.unflatten(-1, (HEADS, -1)) for part in (q, k, v))
    half = KEYS // 2
    q, k = (torch.complex(part[..., :half], part[..., half:]) for part in (q, k))
    rates = 10_000.0 ** (-2 * torch.arange(half, dtype=torch.float64) / KEYS)
    lag = torch.arange(u.shape[1])[:, None] - torch.arange(u.shape[1])
    gamma = 1 - 2.0 ** (-5 - torch.arange(HEADS, dtype=torch.float64))
    decay = (gamma[:, None, None] ** lag.clamp(min=0)).tril()
    turn = torch.exp(1j * lag[..., None] * rates)
    pairs = torch.einsum("bthk,bshk,tsk->bhts", q, k.conj(), turn).real * decay
    return torch.einsum("bhts,bshv->bthv", pairs, v) / KEYS**0.5


def mapped(mixer: RetNetLayer, y: Tensor, u: Tensor) -> Tensor:
    """Norm each head's output by its root mean square, gate it and project it."""
    scale = (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    gate = u @ mixer.gate.weight.T
    normed = (mixer.norm.weight * y / scale).flatten(-2) * gate * gate.sigmoid()
    return normed @ mixer.out_proj.weight.T


@pytest.mark.parametrize("length", [1, 7, 150])
def test_the_layer_equals_its_papers_sum_over_pairs(length: int) -> None:
    mixer, u = layer(), features(length)
    torch.testing.assert_close(mixer(u), mapped(mixer, retained(mixer, u), u))


def test_both_directions_are_added_before_the_norm() -> None:
    mixer, u = layer(causal=False), features(9)
    y = retained(mixer, u) + retained(mixer, u.flip(1)).flip(1)
    torch.testing.assert_close(mixer(u), mapped(mixer, y, u))


@pytest.mark.parametrize("length", [1, 67])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(length: int) -> None:
    mixer, u = layer(), features(length + 3)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :length])
    torch.testing.assert_close(mixer.advance(u[:, length:], state)[0], whole[:, length:])
    for position in range(length, length + 3):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


def test_padding_reaches_no_valid_position_from_behind() -> None:
    mixer, u = layer(causal=False), features(9)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


def test_impossible_sizes_are_refused() -> None:
    for options in ({"heads": 0}, {"expand_v": 0}):
        with pytest.raises(SpecError, match="positive"):
            RetNet(**options)
    with pytest.raises(SpecError, match="divide"):
        RetNet(heads=4).build(width=12, length=8, causal=True)
