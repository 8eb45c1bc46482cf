"""SSD and gated linear attention: chunked, quadratic and recurrent forms are one map."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.scans import gla, ssd
from harness.core.seeding import stream

HEADS, STATE, FEATURES = 4, 3, 2
Form = Callable[..., tuple[Tensor, Tensor]]


def draw_ssd(length: int, groups: int = 2) -> list[Tensor]:
    """Draw x, dt, log a, B, C and a state."""
    rng = stream("ssd", length, groups)
    shapes = (
        (2, length, HEADS, FEATURES),
        (2, length, HEADS),
        (2, length, HEADS),
        (2, length, groups, STATE),
        (2, length, groups, STATE),
        (2, HEADS, STATE, FEATURES),
    )
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    leaves[2] = -leaves[2].abs()
    return [leaf.requires_grad_() for leaf in leaves]


def draw_gla(length: int) -> list[Tensor]:
    """Draw q, k, v, gates and a state."""
    rng = stream("gla", length)
    shapes = [(2, length, HEADS, size) for size in (STATE, STATE, FEATURES, STATE)]
    shapes.append((2, HEADS, STATE, FEATURES))
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    leaves[3] = leaves[3].sigmoid()
    return [leaf.requires_grad_() for leaf in leaves]


def with_gradients(form: Form, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    y, state = form(*leaves)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).cos()
    return y, state, *torch.autograd.grad((weight * y).sum() + state.square().sum(), leaves)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short sequences span several chunks and several pieces."""
    for module, smallest in ((ssd, 4), (gla, 8)):
        monkeypatch.setattr(module, "CHUNK", smallest)
        monkeypatch.setattr(module, "SEGMENT", 4 * smallest)


@given(length=st.integers(1, 60), groups=st.sampled_from([1, 2, 4]))
def test_ssd_is_one_map_in_three_forms_with_one_gradient(length: int, groups: int) -> None:
    leaves = draw_ssd(length, groups)
    chunked = with_gradients(ssd.ssd, leaves)
    torch.testing.assert_close(chunked, with_gradients(ssd.quadratic_ssd, leaves))
    torch.testing.assert_close(chunked, with_gradients(ssd.recurrent_ssd, leaves))


@given(length=st.integers(1, 60))
def test_gated_linear_attention_is_one_map_in_three_forms_with_one_gradient(length: int) -> None:
    leaves = draw_gla(length)
    chunked = with_gradients(gla.gla, leaves)
    torch.testing.assert_close(chunked, with_gradients(gla.quadratic_gla, leaves))
    torch.testing.assert_close(chunked, with_gradients(gla.recurrent_gla, leaves))


@pytest.mark.parametrize("length", [1, 9, 23])
def test_ssd_equals_the_papers_semiseparable_matrix(length: int) -> None:
    x, dt, log_a, B, C, _ = (leaf.detach() for leaf in draw_ssd(length, groups=1))
    y, _ = ssd.ssd(x, dt, log_a, B, C, torch.zeros(2, HEADS, STATE, FEATURES, dtype=x.dtype))
    a, expected = log_a.exp(), torch.zeros_like(x)
    for t in range(length):
        for s in range(t + 1):
            M = (C[:, t, 0] * B[:, s, 0]).sum(-1, keepdim=True) * a[:, s + 1 : t + 1].prod(1)
            expected[:, t] += (M * dt[:, s])[..., None] * x[:, s]
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("length", [1, 9, 23])
def test_gated_linear_attention_equals_its_sum_over_pairs(length: int) -> None:
    q, k, v, f, _ = (leaf.detach() for leaf in draw_gla(length))
    f[:, ::5] = 0
    y, _ = gla.gla(q, k, v, f, torch.zeros(2, HEADS, STATE, FEATURES, dtype=q.dtype))
    expected = torch.zeros_like(v)
    for t in range(length):
        for s in range(t + 1):
            pair = (q[:, t] * f[:, s + 1 : t + 1].prod(1) * k[:, s]).sum(-1, keepdim=True)
            expected[:, t] += pair * v[:, s]
    torch.testing.assert_close(y, expected)


@given(length=st.integers(2, 50), data=st.data())
def test_a_sequence_cut_in_two_comes_out_as_in_one_go(length: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, length - 1))
    for form, leaves in ((ssd.ssd, draw_ssd(length)), (gla.gla, draw_gla(length))):
        *inputs, state = (leaf.detach() for leaf in leaves)
        y, last = form(*inputs, state)
        first, state = form(*(x[:, :cut] for x in inputs), state)
        second, state = form(*(x[:, cut:] for x in inputs), state)
        torch.testing.assert_close((torch.cat([first, second], 1), state), (y, last))


@pytest.mark.parametrize(("form", "leaves"), [(ssd.ssd, draw_ssd(11)), (gla.gla, draw_gla(11))])
def test_every_gradient_is_the_derivative(form: Form, leaves: list[Tensor]) -> None:
    assert torch.autograd.gradcheck(form, leaves, fast_mode=True)


def test_ssd_survives_decays_that_leave_nothing() -> None:
    leaves = [leaf.detach() for leaf in draw_ssd(40)]
    leaves[2] = leaves[2] * 1e4
    leaves = [leaf.float().requires_grad_() for leaf in leaves]
    assert all(part.isfinite().all() for part in with_gradients(ssd.ssd, leaves))


@pytest.mark.parametrize("name", ["ssd", "gla"])
def test_float32_keeps_four_digits_at_262144_steps(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.undo()
    rng = stream("long")
    length = 262_144
    wide = [torch.randn(1, length, 1, 2, generator=rng, dtype=torch.float64) for _ in range(3)]
    gate = 1e-4 * torch.rand(1, length, 1, 2, generator=rng, dtype=torch.float64)
    state = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    if name == "ssd":
        form, inputs = ssd.ssd, [wide[0], 1 + gate[..., 0], -gate[..., 0], *wide[1:], state]
    else:
        form, inputs = gla.gla, [*wide, 1 - gate, state]
    double, _ = form(*inputs)
    single, _ = form(*(x.float() for x in inputs))
    last = slice(-4096, None)
    error = (single.double() - double)[:, last].norm() / double[:, last].norm()
    assert error < 1e-4
