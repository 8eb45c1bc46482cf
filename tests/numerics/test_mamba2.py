"""Mamba-2: the layer is the paper's recurrence, written out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.mamba2 import Mamba2, Mamba2Layer
from baselines.ops.layers.bidirectional import reverse_valid
from harness.core.seeding import scope, stream

RECIPES = [
    Mamba2(state=3, head_dim=2),
    Mamba2(state=3, head_dim=2, bc_groups=3),
    Mamba2(state=2, expand=1, head_dim=64),
]


def layer(recipe: Mamba2, *, causal: bool = True) -> Mamba2Layer:
    """Build a float64 layer of width 3."""
    with scope("layer"):
        return recipe.build(width=3, length=8, causal=causal).double()


def features(length: int) -> Tensor:
    return torch.randn(2, length, 3, generator=stream("features", length), dtype=torch.float64)


def walked(mixer: Mamba2Layer, recipe: Mamba2, u: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Do what the paper says, position by position and head by head."""
    inner, n, groups = recipe.expand * 3, recipe.state, recipe.bc_groups
    z, xBC, dt = mixer.in_proj(u).split([inner, inner + 2 * groups * n, mixer.heads], -1)

    def direction(xBC: Tensor, dt: Tensor) -> Tensor:
        taps, length = mixer.conv_weight, xBC.shape[1]
        past = F.pad(xBC, (0, 0, 3, 0))
        convolved = sum(taps[:, j] * past[:, j : j + length] for j in range(4)) + mixer.conv_bias
        x, B, C = F.silu(convolved).split([inner, groups * n, groups * n], -1)
        dt = F.softplus(dt + mixer.dt_bias)
        size, per_group = inner // mixer.heads, mixer.heads // groups
        ys = torch.zeros_like(x)
        for head in range(mixer.heads):
            own = slice(head * size, (head + 1) * size)
            group = slice(head // per_group * n, (head // per_group + 1) * n)
            H = xBC.new_zeros(2, n, size)
            for t in range(length):
                a = (-dt[:, t, head] * mixer.A_log[head].exp()).exp()
                drive = dt[:, t, head, None] * x[:, t, own]
                H = a[:, None, None] * H + B[:, t, group, None] * drive[:, None]
                read = torch.einsum("bnp,bn->bp", H, C[:, t, group])
                ys[:, t, own] = read + mixer.D[head] * x[:, t, own]
        return ys

    y = direction(xBC, dt)
    if not mixer.causal:
        flipped = [reverse_valid(part, lengths) for part in (xBC, dt)]
        y = y + reverse_valid(direction(*flipped), lengths)
    gated = y * z * z.sigmoid()
    scale = (gated.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
    return mixer.out_proj(gated * scale * mixer.norm.weight)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [1, 7, 70])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_layer_equals_the_papers_recurrence(recipe: Mamba2, length: int, causal: bool) -> None:
    mixer, u = layer(recipe, causal=causal), features(length)
    torch.testing.assert_close(mixer(u), walked(mixer, recipe, u))


@pytest.mark.parametrize("length", [1, 2, 65, 130])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(
    recipe: Mamba2, length: int
) -> None:
    mixer, u = layer(recipe), features(length + 5)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    stepped = mixer.prefill(u[:, :length])
    rest, _ = mixer.advance(u[:, length:], state)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)
    for position in range(length, length + 5):
        y, stepped = mixer.step(u[:, position], stepped)
        torch.testing.assert_close(y, whole[:, position])


def test_padding_reaches_no_valid_position_from_behind() -> None:
    mixer, u = layer(RECIPES[0], causal=False), features(9)
    lengths = torch.tensor([9, 5])
    padded = u.clone()
    padded[1, 5:] = 1e6
    y = mixer(padded, lengths)
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


@pytest.mark.parametrize("length", [1, 6])
def test_a_reversal_keeps_the_padding_and_undoes_itself(length: int) -> None:
    x = torch.arange(2 * length * 1.0).view(2, length, 1)
    lengths = torch.tensor([length, max(1, length - 2)])
    turned = reverse_valid(x, lengths)
    torch.testing.assert_close(reverse_valid(turned, lengths), x)
    torch.testing.assert_close(turned[1, : lengths[1]], x[1, : lengths[1]].flip(0))
    torch.testing.assert_close(reverse_valid(x, None), x.flip(1))
