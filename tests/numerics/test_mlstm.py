"""mLSTM: its chunked form is the paper's recurrence, with exact gradients, whatever the gates."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.mlstm import MLSTM, MLSTMLayer
from baselines.ops.scans import ssd as module
from baselines.ops.scans.mlstm import mlstm, mlstm_step, recurrent_mlstm
from harness.api import SpecError
from harness.core.seeding import scope, stream

BATCH, HEADS, KEYS, VALUES = 2, 3, 4, 5
WIDTH = 8
Form = Callable[..., tuple[Tensor, tuple[Tensor, Tensor]]]


def draw(length: int) -> list[Tensor]:
    """Draw q, k, v, both gates' logits, and a state."""
    rng = stream("mlstm", length)
    position = (HEADS, KEYS), (HEADS, KEYS), (HEADS, VALUES), (HEADS,), (HEADS,)
    shapes = [(BATCH, length, *shape) for shape in position]
    shapes += [(BATCH, HEADS, KEYS, VALUES + 1), (BATCH, HEADS)]
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return [leaf.requires_grad_() for leaf in leaves]


def flat(form: Form) -> Callable[..., tuple[Tensor, ...]]:
    """Let a form take and give its state as single tensors, in what they stand for.

    How the state is scaled is free; C and n themselves are not.
    """

    def flattened(*leaves: Tensor) -> tuple[Tensor, ...]:
        y, (memory, m) = form(*leaves[:-2], leaves[-2:])
        return y, memory * m.exp()[..., None, None]

    return flattened


def with_gradients(form: Form, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    y, memory = flat(form)(*leaves)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).cos()
    inputs = leaves[:-1]
    return y, memory, *torch.autograd.grad((weight * y).sum() + memory.square().sum(), inputs)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short sequences span several chunks and segments."""
    for name, size in (("CHUNK", 8), ("SEGMENT", 32)):
        monkeypatch.setattr(module, name, size)


@given(length=st.integers(1, 45))
def test_chunks_are_the_recurrence_with_its_gradient(length: int) -> None:
    leaves = draw(length)
    torch.testing.assert_close(
        with_gradients(mlstm, leaves), with_gradients(recurrent_mlstm, leaves)
    )


def test_the_recurrence_is_the_papers_without_a_maximum() -> None:
    q, k, v, write, forget, memory, m = (leaf.detach() for leaf in draw(9))
    y, _ = recurrent_mlstm(q, k, v, write, forget, (memory, m))
    C, n = (memory * m.exp()[..., None, None]).split([VALUES, 1], -1)
    for t in range(9):
        f, i = forget[:, t].sigmoid()[..., None, None], write[:, t].exp()[..., None, None]
        C = f * C + i * k[:, t, :, :, None] * v[:, t, :, None]
        n = f * n + i * k[:, t, :, :, None]
        below = (n.mT @ q[:, t, :, :, None]).abs().clamp(min=1)
        torch.testing.assert_close(y[:, t], (C.mT @ q[:, t, :, :, None] / below)[..., 0])


def test_every_gradient_is_the_derivative() -> None:
    # The state's scale is no input of its own: what it scales is.
    *leaves, m = draw(11)
    assert torch.autograd.gradcheck(
        lambda *given: flat(mlstm)(*given, m.detach()), leaves, fast_mode=True
    )


@given(cut=st.integers(0, 30))
def test_a_sequence_cut_in_two_comes_out_as_in_one_go(cut: int) -> None:
    *inputs, memory, m = (leaf.detach() for leaf in draw(30))
    y, last = mlstm(*inputs, (memory, m))
    first, state = mlstm(*(x[:, :cut] for x in inputs), (memory, m))
    second, state = mlstm(*(x[:, cut:] for x in inputs), state)
    torch.testing.assert_close((torch.cat([first, second], 1), state), (y, last))


def test_single_positions_are_the_recurrence() -> None:
    *inputs, memory, m = (leaf.detach() for leaf in draw(9))
    y, last = recurrent_mlstm(*inputs, (memory, m))
    state = memory.clone(), m
    for now in range(9):
        out, state = mlstm_step(*(x[:, now] for x in inputs), state)
        torch.testing.assert_close(out, y[:, now])
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("offset", [-200.0, 0.0, 200.0])
def test_gates_whose_exponentials_overflow_leave_float32_within_1e_5(
    monkeypatch: pytest.MonkeyPatch, offset: float
) -> None:
    monkeypatch.undo()
    leaves = [leaf.detach().float() for leaf in draw(600)]
    # Of one sign, so that what is divided by has not cancelled before.
    leaves[0], leaves[1] = leaves[0].abs(), leaves[1].abs()
    leaves[3] = 5 * leaves[3] + torch.linspace(0, offset, 600)[:, None]
    expected, _ = recurrent_mlstm(*(x.double() for x in leaves[:5]), tuple(leaves[5:]))
    y, state = mlstm(*leaves[:5], tuple(leaves[5:]))
    assert y.dtype == torch.float32
    assert all(part.isfinite().all() for part in state)
    assert (y - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize(("batch", "length"), [(0, 5), (2, 0), (0, 0)])
def test_nothing_comes_out_of_nothing(batch: int, length: int) -> None:
    *inputs, memory, m = (leaf.detach()[:batch] for leaf in draw(5))
    y, last = mlstm(*(x[:, :length] for x in inputs), (memory, m))
    assert y.shape == (batch, length, HEADS, VALUES)
    assert torch.equal(last[0], memory) or batch == 0


def layer(gates: str, *, causal: bool = True) -> MLSTMLayer:
    """Build a float64 layer whose parameters are not as they begin."""
    with scope("layers"):
        mixer = MLSTM(heads=2, gates=gates).build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("features", length), dtype=torch.float64)


def walked(mixer: MLSTMLayer, u: Tensor) -> Tensor:
    """Do what the papers say, position by position, up to the norm."""
    q, k, v = (u @ mixer.in_proj.weight.T).split([4, 4, 8], -1)
    q, k, v = (part.unflatten(-1, (2, -1)) for part in (q, k, v))
    logits = 15 * torch.tanh((u @ mixer.gates.weight.T + mixer.gates.bias) / 15)
    write, f = logits[..., :2], logits[..., 2:].sigmoid()[..., None, None]
    i = (write.exp() if mixer.normed else write.sigmoid())[..., None, None]
    C, n, outputs = u.new_zeros(len(u), 2, 2, 4), u.new_zeros(len(u), 2, 2, 1), []
    for t in range(u.shape[1]):
        C = f[:, t] * C + i[:, t] * k[:, t, :, :, None] * v[:, t, :, None]
        n = f[:, t] * n + i[:, t] * k[:, t, :, :, None]
        read = q[:, t, :, None] / 2**0.5
        below = (read @ n).abs().clamp(min=1) if mixer.normed else 1
        outputs.append((read @ C / below).squeeze(-2))
    return torch.stack(outputs, 1)


def mapped(mixer: MLSTMLayer, y: Tensor, u: Tensor) -> Tensor:
    """Norm each head's output by its root mean square, gate it and project it."""
    scale = (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    gate = (u @ mixer.gate.weight.T).sigmoid()
    return (mixer.norm.weight * y / scale).flatten(-2) * gate @ mixer.out_proj.weight.T


@pytest.mark.parametrize("gates", ["exponential", "sigmoid"])
@pytest.mark.parametrize("length", [1, 70])
def test_the_layer_equals_its_papers_recurrence(gates: str, length: int) -> None:
    mixer, u = layer(gates), features(length)
    torch.testing.assert_close(mixer(u), mapped(mixer, walked(mixer, u), u))


@pytest.mark.parametrize("gates", ["exponential", "sigmoid"])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(gates: str) -> None:
    mixer, u = layer(gates), features(20)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :17], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :17])
    torch.testing.assert_close(mixer.advance(u[:, 17:], state)[0], whole[:, 17:])
    for position in range(17, 20):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@pytest.mark.parametrize("gates", ["exponential", "sigmoid"])
def test_both_directions_see_valid_positions_only(gates: str) -> None:
    mixer, u = layer(gates, causal=False), features(9)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y, short = mixer(padded, torch.tensor([9, 5])), u[1:, :5]
    both = walked(mixer, short) + walked(mixer, short.flip(1)).flip(1)
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mapped(mixer, both, short))


def test_gates_begin_alike_for_every_input_and_forget_at_paces_of_their_own() -> None:
    with scope("init"):
        mixer = MLSTM(heads=4).build(width=16, length=8, causal=True)
    assert not mixer.gates.weight.any()
    torch.testing.assert_close(mixer.gates.bias[4:], torch.tensor([3.0, 4.0, 5.0, 6.0]))
    assert F.sigmoid(mixer.gates.bias[4:]).min() > 0.95


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(SpecError, match="positive"):
        MLSTM(heads=0)
    with pytest.raises(SpecError, match="divide"):
        MLSTM(heads=4).build(width=12, length=8, causal=True)
