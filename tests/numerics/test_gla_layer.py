"""GLA: the layer is its paper's recurrence, whole, in pieces and step by step."""

import pytest
import torch
from torch import Tensor

from baselines.gla import GLA, GLALayer
from harness.api import SpecError
from harness.core.seeding import scope, stream

WIDTH, HEADS = 8, 2
KEYS, VALUES = WIDTH // HEADS // 2, WIDTH // HEADS


def layer(*, causal: bool = True) -> GLALayer:
    """Build a float64 layer whose parameters are not as they begin."""
    with scope("layers"):
        mixer = GLA(heads=HEADS).build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("features", length), dtype=torch.float64)


def walked(mixer: GLALayer, u: Tensor) -> Tensor:
    """Do what the paper says, position by position, up to the norm."""
    q, k, v = (u @ mixer.in_proj.weight.T).split([HEADS * KEYS, HEADS * KEYS, WIDTH], -1)
    first, second = mixer.forget
    f = (u @ first.weight.T @ second.weight.T + second.bias).sigmoid() ** (1 / 16)
    q, k, f = (part.unflatten(-1, (HEADS, KEYS)) for part in (q, k, f))
    v = v.unflatten(-1, (HEADS, VALUES))
    S, outputs = u.new_zeros(len(u), HEADS, KEYS, VALUES), []
    for t in range(u.shape[1]):
        S = torch.diag_embed(f[:, t]) @ S + k[:, t, :, :, None] * v[:, t, :, None]
        outputs.append(torch.einsum("bhk,bhkv->bhv", q[:, t], S) / KEYS**0.5)
    return torch.stack(outputs, 1)


def mapped(mixer: GLALayer, y: Tensor, u: Tensor) -> Tensor:
    """Norm each head's output by its root mean square, gate it and project it."""
    scale = (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    gate = u @ mixer.gate.weight.T
    normed = (mixer.norm.weight * y / scale).flatten(-2) * gate * gate.sigmoid()
    return normed @ mixer.out_proj.weight.T


@pytest.mark.parametrize("length", [1, 7, 70])
def test_the_layer_equals_its_papers_recurrence(length: int) -> None:
    mixer, u = layer(), features(length)
    torch.testing.assert_close(mixer(u), mapped(mixer, walked(mixer, u), u))


def test_both_directions_are_added_before_the_norm() -> None:
    mixer, u = layer(causal=False), features(9)
    y = walked(mixer, u) + walked(mixer, u.flip(1)).flip(1)
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


def test_heads_must_be_there_and_share_out_half_the_width() -> None:
    with pytest.raises(SpecError, match="positive"):
        GLA(heads=0)
    with pytest.raises(SpecError, match="divide"):
        GLA(heads=4).build(width=12, length=8, causal=True)
