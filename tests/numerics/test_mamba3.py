"""Mamba-3: the scan is the two-tap recurrence, and the layer its paper's."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines import mamba3 as module
from baselines.mamba3 import Mamba3, Mamba3Layer
from baselines.ops.scans.two_taps import Drives, recurrent_two_taps, two_taps
from harness.api import SpecError
from harness.core.seeding import scope, stream

WIDTH = 6
RECIPES = [
    Mamba3(state=8, head_dim=4),
    Mamba3(state=7, head_dim=6, expand=1),
    Mamba3(state=8, head_dim=4, rank=3),
]


def layer(recipe: Mamba3, *, causal: bool = True) -> Mamba3Layer:
    """Build a float64 layer whose parameters are not as they begin."""
    with scope("layers"):
        mixer = recipe.build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("u", length), dtype=torch.float64)


def draw(length: int, rank: int) -> list[Tensor]:
    rng, heads, states, inner = stream("taps", length, rank), 3, 4, 5
    shapes = ((rank, heads, inner), (rank, heads, states), (rank, heads, states))
    leaves = [
        torch.randn(2, length, *shape, generator=rng, dtype=torch.float64)
        for shape in (*shapes, (heads,), (heads,), (heads,))
    ]
    leaves[3] = -leaves[3].exp()
    memory = torch.randn(2, heads, states, inner, generator=rng, dtype=torch.float64)
    return [leaf.requires_grad_() for leaf in (*leaves, memory)]


@given(length=st.integers(1, 80), rank=st.integers(1, 3))
def test_the_scan_of_two_taps_is_the_recurrence_with_its_gradient(length: int, rank: int) -> None:
    *leaves, memory = draw(length, rank)
    found, expected = (form(Drives(*leaves), memory) for form in (two_taps, recurrent_two_taps))
    torch.testing.assert_close(found, expected)
    every = [*leaves[:4], leaves[5], memory]
    slopes = [
        torch.autograd.grad(y.sin().sum() + last.square().sum(), every)
        for y, last in (found, expected)
    ]
    torch.testing.assert_close(slopes[0], slopes[1])


def walked(mixer: Mamba3Layer, recipe: Mamba3, u: Tensor) -> Tensor:
    """Do what the paper says, position by position, with states of complex numbers."""
    heads, rank, states, turned = mixer.heads, recipe.rank, recipe.state, recipe.state // 4
    projected = (u @ mixer.in_proj.weight.T).split(mixer.parts, -1)
    angle, outputs = torch.zeros(len(u), heads, turned, dtype=u.dtype), []
    inner = mixer.out_proj.in_features // heads
    h = u.new_zeros(len(u), heads, states, inner)
    last = torch.zeros_like(h)
    ones = torch.ones(rank, heads, inner, dtype=u.dtype)
    scales = [ones if s is None else s for s in (mixer.x_scale, mixer.z_scale, mixer.y_scale)]
    for t in range(u.shape[1]):
        z, x, B, C, dt, A, share, turn = (part[:, t] for part in projected)
        dt, share = (dt + mixer.dt_bias).exp().log1p(), share.sigmoid()
        A = -torch.where(A >= 0, 1 + A, 1 / (1 - A)).clamp(min=1e-4)
        angle = angle + math.pi * turn.tanh()[:, None] * dt[..., None]
        rows = []
        for part, norm, bias in ((B, mixer.B_norm, mixer.B_bias), (C, mixer.C_norm, mixer.C_bias)):
            row = F.rms_norm(part.unflatten(-1, (rank, states)), (states,), norm.weight, 1e-5)
            row = row[:, :, None] + bias
            pairs = torch.view_as_complex(
                row[..., : 2 * turned].unflatten(-1, (-1, 2)).contiguous()
            )
            pairs = torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)[:, None])
            rows.append(torch.cat([pairs.flatten(-2), row[..., 2 * turned :]], -1))
        B, C = rows
        x, z = (part.unflatten(-1, (1, heads, inner)) for part in (x, z))
        x, decay = x * scales[0], (dt * A).exp()
        new = torch.einsum("brhn,brhp->bhnp", B, x)
        # The paper's alpha, beta and gamma.
        parts = (decay, (1 - share) * dt * decay, share * dt)
        alpha, beta, gamma = (part[..., None, None] for part in parts)
        h, last = alpha * h + beta * last + gamma * new, new
        y = torch.einsum("brhn,bhnp->brhp", C, h) + mixer.D[:, None] * x
        gated = (y * F.silu(z * scales[1]) * scales[2]).sum(1)
        outputs.append(gated.flatten(1) @ mixer.out_proj.weight.T)
    return torch.stack(outputs, 1)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short sequences span several pieces."""
    monkeypatch.setattr(module, "PIECE", 64)


@pytest.mark.parametrize("length", [1, 7, 150])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_layer_equals_its_papers_recurrence(recipe: Mamba3, length: int) -> None:
    mixer, u = layer(recipe), features(length)
    torch.testing.assert_close(mixer(u), walked(mixer, recipe, u))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("length", [1, 67])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(
    recipe: Mamba3, length: int
) -> None:
    mixer, u = layer(recipe), features(length + 3)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :length])
    torch.testing.assert_close(mixer.advance(u[:, length:], state)[0], whole[:, length:])
    for position in range(length, length + 3):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


def test_padding_reaches_no_valid_position_from_behind() -> None:
    mixer, u = layer(RECIPES[2], causal=False), features(9)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


def test_initial_values_are_the_authors() -> None:
    with scope("init"):
        mixer = Mamba3(head_dim=1, rank=4).build(width=512, length=8, causal=True)
    dt = F.softplus(mixer.dt_bias).log()
    low, high = math.log(1e-3), math.log(1e-1)
    assert (torch.histc(dt, 4, low, high) / 1024 - 0.25).abs().max() < 0.05
    for parameter, value in (
        (mixer.B_bias, 1), (mixer.C_bias, 1), (mixer.D, 1),
        (mixer.x_scale, 0.25), (mixer.y_scale, 0.25), (mixer.z_scale, 1),
    ):  # fmt: skip
        assert (parameter == value).all()


@pytest.mark.parametrize("options", [{"state": 3}, {"rank": 0}, {"expand": 0}, {"head_dim": 0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError, match="at least"):
        Mamba3(**options)


def test_a_width_that_does_not_divide_is_refused() -> None:
    with pytest.raises(SpecError, match="divide"):
        Mamba3(head_dim=4).build(width=5, length=8, causal=True)
