"""MesaNet: conjugate gradients give the exact solution of every position, with its gradient."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.mesanet import MesaLayer, MesaNet
from baselines.ops.scans import mesa as module
from baselines.ops.scans.mesa import exact_mesa, mesa, mesa_step, solve
from harness.api import SpecError
from harness.core.seeding import scope, stream

BATCH, HEADS, KEYS, VALUES, WIDTH, STEPS = 2, 2, 3, 4, 6, 12
Form = Callable[..., tuple[Tensor, ...]]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short sequences span several chunks and segments."""
    for name, size in (("CHUNK", 8), ("SEGMENT", 32)):
        monkeypatch.setattr(module, name, size)


def draw(length: int, keys: int = KEYS) -> list[Tensor]:
    """Draw q, k, v, log decays, weights, ridges and the sums of a past."""
    rng = stream("mesa", length, keys)
    position = (HEADS, keys), (HEADS, keys), (HEADS, VALUES), (HEADS,), (HEADS,)
    shapes = [(BATCH, length, *shape) for shape in position]
    shapes += [(HEADS, keys), (BATCH, HEADS, keys, keys), (BATCH, HEADS, keys, VALUES)]
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    leaves[1] = F.normalize(leaves[1], dim=-1)
    leaves[3], leaves[4], leaves[5] = -leaves[3].exp() / 5, leaves[4].sigmoid(), leaves[5].exp()
    leaves[6] = leaves[6] @ leaves[6].mT
    return [leaf.requires_grad_() for leaf in leaves]


def by_steps(*given_: Tensor, steps: int = STEPS) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v, log_f, beta, ridge, H, G = given_
    # The sum of a past is symmetric, whatever is asked of its elements.
    y, state = mesa((q, k, v), log_f, beta, ridge, ((H + H.mT) / 2, G), steps=steps)
    return y, *state


def exactly(*given_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v, log_f, beta, ridge, H, G = given_
    y, state = exact_mesa((q, k, v), log_f, beta, ridge, ((H + H.mT) / 2, G))
    return y, *state


def with_gradients(form: Form, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    y, H, G = form(*leaves)
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).cos()
    score = (weight * y).sum() + H.square().sum() + G.square().sum()
    return y, H, G, *torch.autograd.grad(score, leaves)


@given(length=st.integers(1, 45))
def test_conjugate_gradients_are_the_exact_solution_with_its_gradient(length: int) -> None:
    leaves = draw(length)
    torch.testing.assert_close(with_gradients(by_steps, leaves), with_gradients(exactly, leaves))


def test_every_gradient_is_the_derivative() -> None:
    assert torch.autograd.gradcheck(by_steps, draw(11), fast_mode=True)


def test_the_solution_is_a_weighted_ridge_regression_of_what_was_seen() -> None:
    q, k, v, log_f, beta, ridge, H, G = (leaf.detach() for leaf in draw(9))
    y, *_ = exactly(q, k, v, log_f, beta, ridge, 0 * H, 0 * G)
    left = (log_f.cumsum(1)[:, -1:] - log_f.cumsum(1)).exp() * beta
    for b, h in ((0, 0), (1, 1)):
        rows = left[b, :, h, None].sqrt()
        A = torch.cat([rows * k[b, :, h], torch.diag(ridge[h].sqrt())])
        targets = torch.cat([rows * v[b, :, h], v.new_zeros(KEYS, VALUES)])
        fitted = torch.linalg.lstsq(A, targets).solution
        torch.testing.assert_close(y[b, -1, h], q[b, -1, h] @ fitted)


@given(cut=st.integers(0, 30))
def test_a_sequence_cut_in_two_comes_out_as_in_one_go(cut: int) -> None:
    *parts, ridge, H, G = (leaf.detach() for leaf in draw(30))

    def run(start: int, stop: int, state: tuple[Tensor, Tensor]) -> tuple:
        q, k, v, log_f, beta = (part[:, start:stop] for part in parts)
        return mesa((q, k, v), log_f, beta, ridge, state, steps=STEPS)

    y, last = run(0, 30, (H, G))
    first, state = run(0, cut, (H, G))
    second, state = run(cut, 30, state)
    torch.testing.assert_close((torch.cat([first, second], 1), state), (y, last))


@pytest.mark.parametrize("steps", [1, STEPS])
def test_single_positions_take_the_same_steps(steps: int) -> None:
    *parts, ridge, H, G = (leaf.detach() for leaf in draw(9))
    q, k, v, log_f, beta = parts
    y, last = mesa((q, k, v), log_f, beta, ridge, (H, G), steps=steps)
    state = H.clone(), G.clone()
    for now in range(9):
        q, k, v, log_f, beta = (part[:, now] for part in parts)
        out, state = mesa_step((q, k, v), log_f, beta, ridge, state, steps=steps)
        torch.testing.assert_close(out, y[:, now])
    torch.testing.assert_close(state, last)


def test_thirty_steps_leave_float32_within_1e_5_where_keys_have_64_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    leaves = [leaf.detach().float() for leaf in draw(300, 64)]
    leaves[5], leaves[6] = torch.ones_like(leaves[5]), torch.zeros_like(leaves[6])
    expected, *_ = exactly(*(leaf.double() for leaf in leaves))
    y, *_ = by_steps(*leaves, steps=30)
    assert y.dtype == torch.float32
    assert (y - expected).norm() < 1e-5 * expected.norm()


def test_the_solver_ends_where_another_step_would_be_lost_in_rounding() -> None:
    draws, asked = stream("ended"), []
    root, target = (torch.randn(*shape, generator=draws) for shape in ((8, 16, 16), (8, 5, 16)))
    matrix = root @ root.mT / 16 + torch.eye(16)

    def product(x: torch.Tensor) -> torch.Tensor:
        asked.append(x)
        return x @ matrix

    found = solve(product, target, torch.ones_like(target), 1000)
    exact = torch.linalg.solve(matrix.double(), target.double(), left=False)
    assert len(asked) < 40
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5)


def test_a_solved_system_stays_solved() -> None:
    target = torch.randn(5, 4, generator=stream("solved"), dtype=torch.float64)
    target[2] = 0
    found = solve(lambda x: 3 * x, target, torch.full_like(target, 3), 50)
    torch.testing.assert_close(found, target / 3)


def layer(*, causal: bool = True) -> MesaLayer:
    """Build a float64 layer whose parameters are not as they begin."""
    with scope("layers"):
        mixer = MesaNet(heads=HEADS).build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("features", length), dtype=torch.float64)


def fitted(mixer: MesaLayer, u: Tensor) -> Tensor:
    """Solve what the paper says, position by position, up to the norm."""
    q, k, v = (u @ mixer.in_proj.weight.T).split(WIDTH, -1)
    mixed = F.pad(torch.cat([q, k], -1).mT, (3, 0))
    mixed = F.conv1d(mixed, mixer.conv[:, None], groups=2 * WIDTH).mT
    q, k = (mixed * mixed.sigmoid()).split(WIDTH, -1)
    q, k, v = (part.unflatten(-1, (HEADS, -1)) for part in (q, k, v))
    q, k = (part / (part.square().sum(-1, keepdim=True) + 1e-6).sqrt() for part in (q, k))
    f, beta = (u @ mixer.gates.weight.T + mixer.gates.bias).sigmoid().chunk(2, -1)
    H = G = u.new_zeros(len(u), HEADS, WIDTH // HEADS, WIDTH // HEADS)
    ridge, outputs = torch.diag_embed(mixer.ridge.exp().log1p() + 0.25), []
    for t in range(u.shape[1]):
        key = (beta[:, t, :, None] * k[:, t])[..., None]
        H = f[:, t, :, None, None] * H + key * k[:, t, :, None]
        G = f[:, t, :, None, None] * G + key * v[:, t, :, None]
        read = torch.linalg.inv(H + ridge) @ q[:, t, :, :, None]
        outputs.append((G.mT @ read)[..., 0])
    return torch.stack(outputs, 1)


def mapped(mixer: MesaLayer, y: Tensor) -> Tensor:
    """Norm each head's output by its root mean square and project it."""
    scale = (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return (mixer.norm.weight * y / scale).flatten(-2) @ mixer.out_proj.weight.T


@pytest.mark.parametrize("length", [1, 20])
def test_the_layer_equals_its_papers_regression(length: int) -> None:
    mixer, u = layer(), features(length)
    torch.testing.assert_close(mixer(u), mapped(mixer, fitted(mixer, u)))


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
    both = fitted(mixer, short) + fitted(mixer, short.flip(1)).flip(1)
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mapped(mixer, both))


def test_ridges_begin_at_one() -> None:
    mixer = MesaNet().build(width=8, length=8, causal=True)
    torch.testing.assert_close(F.softplus(mixer.ridge) + 0.25, torch.ones(2, 4))


def test_impossible_options_are_refused() -> None:
    for option in ("heads", "steps"):
        with pytest.raises(SpecError, match="positive"):
            MesaNet(**{option: 0})
    with pytest.raises(SpecError, match="divide"):
        MesaNet(heads=4).build(width=6, length=8, causal=True)
