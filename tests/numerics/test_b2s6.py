"""B2S6: the chunked scan is the recurrence, and the layer the paper's blocks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.b2s6 import B2S6, B2S6Layer
from baselines.ops.scans import block_selective_scan as module
from baselines.ops.scans.block_selective_scan import (
    Drives,
    Fixed,
    block_selective_scan,
    naive_block_selective_scan,
)
from harness.api import Protocol, SpecError
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.testing import features_task
from harness.training.loop import optimizer_groups

WIDTH, RECIPE = 6, B2S6(blocks=2, state=3)


def draw(length: int) -> list[Tensor]:
    """Draw x, dt, B, C, A, the bias and a state."""
    rng = stream("blocks", length)
    real = [torch.randn(2, length, WIDTH, generator=rng, dtype=torch.float64) for _ in range(2)]
    shapes = [(2, length, 2, 3)] * 2 + [(WIDTH, 3)] * 2 + [(2, WIDTH, 3)]
    others = [torch.randn(shape, generator=rng, dtype=torch.complex128) for shape in shapes]
    others[2] = torch.complex(-others[2].real.exp(), others[2].imag)
    return [leaf.requires_grad_() for leaf in (real[0], real[1].exp(), *others)]


def flat(form):
    return lambda x, dt, B, C, A, bias, state: form(x, Drives(dt, B, C), Fixed(A, bias), state)


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 8)


@given(length=st.integers(1, 30))
def test_chunks_are_the_recurrence_with_its_gradient(length: int) -> None:
    leaves, found = draw(length), []
    for form in (block_selective_scan, naive_block_selective_scan):
        y, last = flat(form)(*leaves)
        total = y.sin().sum() + last.abs().square().sum()
        found.append((y, last, *torch.autograd.grad(total, leaves)))
    torch.testing.assert_close(*found)


def test_every_gradient_is_the_derivative() -> None:
    assert torch.autograd.gradcheck(
        lambda *leaves: flat(block_selective_scan)(*leaves)[0], draw(11), fast_mode=True
    )


def layer(*, causal: bool = True) -> B2S6Layer:
    with scope("layers"):
        mixer = RECIPE.build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("u", length), dtype=torch.float64)


def walked(mixer: B2S6Layer, u: Tensor) -> Tensor:
    """Take blocks apart and positions one by one."""
    outputs = []
    for block, rows in enumerate((slice(0, 3), slice(3, 6))):
        x, A = u[..., rows], torch.complex(-mixer.A_log[rows].exp(), mixer.A_im[rows])
        bias = torch.view_as_complex(mixer.B_bias[rows])
        dt = F.softplus(x @ mixer.dt_proj[block] + mixer.dt_bias[rows])
        B, C = (
            torch.view_as_complex((x @ proj[block]).unflatten(-1, (-1, 2)))
            for proj in (mixer.B_proj, mixer.C_proj)
        )
        h, y = torch.zeros(2, 3, 3, dtype=torch.complex128), []
        for t in range(u.shape[1]):
            added = (dt * x)[:, t, :, None] * (B[:, t, None] + bias)
            h = torch.exp(dt[:, t, :, None] * A) * h + added
            y.append(2 * (C[:, t, None] * h).sum(-1).real + mixer.D[rows] * x[:, t])
        outputs.append(torch.stack(y, 1))
    return torch.cat(outputs, -1)


@pytest.mark.parametrize("length", [1, 20])
def test_the_layer_equals_its_blocks_walked_apart(length: int) -> None:
    mixer, u = layer(), features(length)
    torch.testing.assert_close(mixer(u), walked(mixer, u))


@pytest.mark.parametrize("length", [1, 13])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(length: int) -> None:
    mixer, u = layer(), features(length + 4)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :length])
    torch.testing.assert_close(mixer.advance(u[:, length:], state)[0], whole[:, length:])
    for position in range(length, length + 4):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


def test_padding_reaches_no_valid_position_from_behind() -> None:
    mixer, u = layer(causal=False), features(9)
    y = mixer(u, torch.tensor([9, 5]))
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


def test_what_selects_the_steps_learns_slowly() -> None:
    recipe = B2S6(blocks=2, dt_lr=1e-5)
    network = recipe.assemble(Backbone, features_task(causal=True), 8, 1, 0.0)
    groups = optimizer_groups(network, recipe, Protocol())
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    found = {name.rpartition(".")[2]: rates[id(p)] for name, p in network.named_parameters()}
    assert found["dt_proj"] == found["dt_bias"] == 1e-5
    assert found["B_proj"] == found["A_log"] == 1e-3


@pytest.mark.parametrize("options", [{"blocks": 0}, {"state": 0}, {"dt_min": 1.0}, {"dt_lr": 0.0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        B2S6(**options)


def test_a_width_that_does_not_divide_is_refused() -> None:
    with pytest.raises(SpecError, match="divide"):
        B2S6(blocks=4).build(width=6, length=8, causal=True)
