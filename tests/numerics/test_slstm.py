"""sLSTM: its loop is the paper's recurrence, with exact gradients, however large the gates."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans import slstm as module
from baselines.ops.scans.slstm import naive_slstm, slstm, slstm_step
from baselines.slstm import SLSTM, SLSTMLayer
from harness.api import SpecError
from harness.core.seeding import scope, stream

BATCH, HEADS, FEATURES, WIDTH = 2, 2, 3, 6


def draw(length: int) -> list[Tensor]:
    """Draw logits, recurrent matrices and the four parts of a state."""
    rng = stream("slstm", length)
    shapes = [(BATCH, length, HEADS, 4 * FEATURES), (HEADS, FEATURES, 4 * FEATURES)]
    shapes += 4 * [(BATCH, HEADS, FEATURES)]
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    leaves[4] = leaves[4].exp()
    return leaves


def unscaled(x: Tensor, R: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
    """Run the loop; return h and the last state in what it stands for."""
    y, (h, c, n, m) = slstm(x, R, state)
    return y, h, c * m.exp(), n * m.exp()


def with_gradients(found: tuple[Tensor, ...], leaves: list[Tensor]) -> tuple[Tensor, ...]:
    y, h, c, n = found
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).cos()
    score = (weight * y).sum() + h.square().sum()
    return y, h, c, n, *torch.autograd.grad(score, leaves)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short sequences span several segments."""
    monkeypatch.setattr(module, "SEGMENT", 8 * BATCH * HEADS * 4 * FEATURES)


@given(length=st.integers(1, 30))
def test_the_stabilised_loop_is_the_recurrence_with_its_gradient(length: int) -> None:
    *given_, m = draw(length)
    leaves = [leaf.requires_grad_() for leaf in given_]
    y, (h, c, n, _) = naive_slstm(*leaves[:2], (*leaves[2:], m))
    expected = with_gradients((y, h, c, n), leaves)
    torch.testing.assert_close(with_gradients(unscaled(*leaves, m), leaves), expected)


def test_every_gradient_is_the_derivative() -> None:
    *given_, m = draw(9)
    leaves = [leaf.requires_grad_() for leaf in given_]
    assert torch.autograd.gradcheck(lambda *each: unscaled(*each, m)[:2], leaves, fast_mode=True)


def test_single_positions_are_the_loop() -> None:
    x, R, *start = draw(9)
    y, last = slstm(x, R, tuple(start))
    state = tuple(start)
    for now in range(9):
        out, state = slstm_step(x[:, now], R, state)
        torch.testing.assert_close(out, y[:, now])
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("offset", [-200.0, 200.0])
def test_gates_whose_exponentials_overflow_leave_float32_within_1e_5(offset: float) -> None:
    x, R, *state = (leaf.float() for leaf in draw(200))
    x[..., :FEATURES] += torch.linspace(0, offset, 200)[:, None, None]
    expected, _ = naive_slstm(x.double(), R.double(), tuple(part.double() for part in state))
    y, _ = slstm(x, R, tuple(state))
    assert y.dtype == torch.float32
    assert (y - expected).norm() < 1e-5 * expected.norm()


def layer(*, causal: bool = True) -> SLSTMLayer:
    """Build a float64 layer whose parameters are not as they begin."""
    with scope("layers"):
        mixer = SLSTM(heads=HEADS).build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("features", length), dtype=torch.float64)


def walked(mixer: SLSTMLayer, u: Tensor) -> Tensor:
    """Do what the paper says, position by position, up to the norm."""
    taps = mixer.conv_weight[:, None]
    x = F.conv1d(F.pad(u.mT, (3, 0)), taps, mixer.conv_bias, groups=WIDTH).mT
    x = x * x.sigmoid()
    outputs = []
    for head in range(HEADS):
        own = slice(head * FEATURES, (head + 1) * FEATURES)
        h = c = n = u.new_zeros(len(u), FEATURES)
        every = []
        for t in range(u.shape[1]):
            fed = torch.cat(
                [x[:, t, own] @ mixer.to_gates[head], u[:, t, own] @ mixer.to_cell[head]], -1
            )
            i, f, z, o = (fed + h @ mixer.recurrent[head] + mixer.bias[head]).chunk(4, -1)
            c = f.sigmoid() * c + i.exp() * z.tanh()
            n = f.sigmoid() * n + i.exp()
            h = o.sigmoid() * c / n
            every.append(h)
        outputs.append(torch.stack(every, 1))
    return torch.stack(outputs, 2)


def normed(mixer: SLSTMLayer, y: Tensor) -> Tensor:
    centred = y - y.mean(-1, keepdim=True)
    scale = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return (mixer.norm_weight * centred / scale).flatten(-2)


@pytest.mark.parametrize("length", [1, 20])
def test_the_layer_equals_its_papers_recurrence(length: int) -> None:
    mixer, u = layer(), features(length)
    torch.testing.assert_close(mixer(u), normed(mixer, walked(mixer, u)))


def test_steps_and_pieces_continue_what_the_whole_sequence_gives() -> None:
    mixer, u = layer(), features(20)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :17], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :17])
    torch.testing.assert_close(mixer.advance(u[:, 17:], state)[0], whole[:, 17:])
    for position in range(17, 20):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


def test_both_directions_see_valid_positions_only() -> None:
    mixer, u = layer(causal=False), features(9)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y, short = mixer(padded, torch.tensor([9, 5])), u[1:, :5]
    both = walked(mixer, short) + walked(mixer, short.flip(1)).flip(1)
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], normed(mixer, both))


def test_forget_gates_begin_on_the_papers_curves_over_features_and_layers() -> None:
    layers = SLSTM(heads=2).stack(depth=3, width=16, length=8, causal=True)
    for share, mixer in zip((0, 0.5, 1), layers, strict=True):
        assert not mixer.recurrent.any()
        wanted = [5 - 12 * (k / 7) ** (0.3 + 1.3 * share) for k in range(8)]
        torch.testing.assert_close(mixer.bias[1, 8:16], torch.tensor(wanted))
        assert not mixer.bias[:, [*range(8), *range(16, 32)]].any()


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(SpecError, match="positive"):
        SLSTM(heads=0)
    with pytest.raises(SpecError, match="divide"):
        SLSTM(heads=4).build(width=6, length=8, causal=True)
