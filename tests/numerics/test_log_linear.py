"""Log-linear attention: Fenwick levels in chunks are the mask of all pairs, from any position."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.log_linear import LogLinear, LogLinearLayer
from baselines.ops.scans import log_linear as module
from baselines.ops.scans.delta_rule import Gates
from baselines.ops.scans.log_linear import log_linear_delta, log_linear_ssd, naive_log_linear
from baselines.ops.scans.ssd import recurrent_ssd
from harness.api import SpecError
from harness.core.seeding import scope, stream

BATCH, HEADS, KEYS, VALUES, WIDTH = 2, 2, 3, 4, 6
OVER = ["ssd", "gated-delta"]
Form = Callable[..., Tensor]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short sequences span several chunks and segments."""
    for name, size in (("CHUNK", 4), ("SEGMENT", 24)):
        monkeypatch.setattr(module, name, size)


def draw(over: str, length: int, levels: int) -> list[Tensor]:
    """Draw the present's signals and the scales: q, k, v, decay logarithms, sizes, scales."""
    rng = stream("log-linear", over, length, levels)
    sizes = (KEYS, KEYS, VALUES, 1, 1, levels)
    leaves = [
        torch.randn(BATCH, length, HEADS, size, generator=rng, dtype=torch.float64)
        for size in sizes
    ]
    leaves[1] = F.normalize(leaves[1], dim=-1)
    leaves[3] = -leaves[3].exp() / 5
    leaves[4] = leaves[4].sigmoid()
    return [leaf.requires_grad_() for leaf in leaves]


def nothing(levels: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(BATCH, levels - 1, HEADS, KEYS, VALUES).double(), torch.tensor(0)


def chunked(over: str, parts: list[Tensor], state: tuple[Tensor, Tensor]) -> tuple:
    q, k, v, log_decay, size, scales = parts
    if over == "ssd":
        return log_linear_ssd(size * v, log_decay[..., 0], k, q, scales, state)
    return log_linear_delta(q, k, v, Gates(log_decay, size, size), scales, state)


def by_pairs(over: str, parts: list[Tensor]) -> Tensor:
    """Weigh each pair of positions, with transitions written out."""
    q, k, v, log_decay, size, scales = parts
    transition = torch.eye(KEYS, dtype=q.dtype).expand(*k.shape, KEYS)
    if over == "gated-delta":
        transition = transition - size[..., None] * k[..., :, None] * k[..., None, :]
    added = k[..., None] * (size * v)[..., None, :]
    return naive_log_linear(q, log_decay.exp()[..., None] * transition, added, scales)


def with_gradients(y: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y).cos()
    return y, *torch.autograd.grad((weight * y).sum(), leaves, materialize_grads=True)


@pytest.mark.parametrize("over", OVER)
@given(length=st.integers(1, 40), levels=st.sampled_from([2, 3, 7]))
def test_chunks_are_the_mask_of_all_pairs_with_its_gradient(
    over: str, length: int, levels: int
) -> None:
    leaves = draw(over, length, levels)
    found = with_gradients(chunked(over, leaves, nothing(levels))[0], leaves)
    torch.testing.assert_close(found, with_gradients(by_pairs(over, leaves), leaves))


@pytest.mark.parametrize("over", OVER)
def test_every_gradient_is_the_derivative(over: str) -> None:
    def form(*leaves: Tensor) -> Tensor:
        return chunked(over, list(leaves), nothing(5))[0]

    assert torch.autograd.gradcheck(form, draw(over, 11, 5), fast_mode=True)


@pytest.mark.parametrize("over", OVER)
@given(cut=st.integers(0, 40), levels=st.sampled_from([2, 4, 8]))
def test_a_sequence_cut_anywhere_comes_out_as_in_one_go(over: str, cut: int, levels: int) -> None:
    parts = [leaf.detach() for leaf in draw(over, 40, levels)]
    y, last = chunked(over, parts, nothing(levels))
    first, state = chunked(over, [part[:, :cut] for part in parts], nothing(levels))
    second, state = chunked(over, [part[:, cut:] for part in parts], state)
    torch.testing.assert_close((torch.cat([first, second], 1), state), (y, last))


def test_scales_of_one_leave_the_plain_recurrence() -> None:
    q, k, v, log_decay, size, _ = (leaf.detach() for leaf in draw("ssd", 30, 4))
    ones = torch.ones(BATCH, 30, HEADS, 4).double()
    y, (held, _) = chunked("ssd", [q, k, v, log_decay, size, ones], nothing(4))
    plain = v, size[..., 0], log_decay[..., 0], k, q
    expected = recurrent_ssd(*plain, held.new_zeros(BATCH, HEADS, KEYS, VALUES))
    torch.testing.assert_close((y, held.sum(1)), expected)


@pytest.mark.parametrize("over", OVER)
def test_float32_is_within_1e_5_of_all_pairs_in_float64(
    monkeypatch: pytest.MonkeyPatch, over: str
) -> None:
    monkeypatch.undo()
    parts = [leaf.detach().float() for leaf in draw(over, 300, 10)]
    expected = by_pairs(over, [part.double() for part in parts])
    held, position = nothing(10)
    y, _ = chunked(over, parts, (held.float(), position))
    assert y.dtype == torch.float32
    assert (y - expected).norm() < 1e-5 * expected.norm()


def layer(over: str, *, causal: bool = True) -> LogLinearLayer:
    """Build a float64 layer whose parameters are not as they begin."""
    with scope("layers"):
        recipe = LogLinear(over=over, heads=HEADS, levels=6)
        mixer = recipe.build(width=WIDTH, length=8, causal=causal).double()
        with torch.no_grad():
            for parameter in mixer.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("features", length), dtype=torch.float64)


def paired(mixer: LogLinearLayer, u: Tensor) -> Tensor:
    """Do what the paper says for all pairs of positions, up to the norm."""
    mixed = F.conv1d(
        F.pad((u @ mixer.in_proj.weight.T).mT, (3, 0)), mixer.conv[:, None], groups=len(mixer.conv)
    ).mT
    q, k, v = (mixed * mixed.sigmoid()).split(mixer.parts, -1)
    size = (u @ mixer.decay.proj.weight.T + mixer.decay.dt_bias).exp().log1p()[..., None]
    log_decay = -mixer.decay.A_log.exp()[:, None] * size
    gain = mixer.level_gain * (u @ mixer.level_proj.weight.T).unflatten(-1, (HEADS, -1))
    scales = gain.exp().log1p()
    v = v.unflatten(-1, (HEADS, -1))
    if mixer.delta:
        q, k = (part.unflatten(-1, (HEADS, -1)) for part in (q, k))
        q, k = (part / (part.square().sum(-1, keepdim=True) + 1e-6).sqrt() for part in (q, k))
        q, size = q / math.sqrt(WIDTH // HEADS), (u @ mixer.beta_proj.weight.T).sigmoid()[..., None]
        return by_pairs("gated-delta", [q, k, v, log_decay, size, scales])
    q, k = (part[:, :, None].expand(-1, -1, HEADS, -1) for part in (q, k))
    y = by_pairs("ssd", [q, k, v, log_decay, size, scales])
    return y + mixer.skip[:, None] * v


def mapped(mixer: LogLinearLayer, y: Tensor, u: Tensor) -> Tensor:
    """Norm each head's output by its root mean square, gate it and project it."""
    scale = (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    gate = u @ mixer.gate.weight.T
    normed = (mixer.norm.weight * y / scale).flatten(-2) * gate * gate.sigmoid()
    return normed @ mixer.out_proj.weight.T


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("length", [1, 50])
def test_the_layer_equals_its_papers_sum_over_pairs(over: str, length: int) -> None:
    mixer, u = layer(over), features(length)
    torch.testing.assert_close(mixer(u), mapped(mixer, paired(mixer, u), u))


@pytest.mark.parametrize("over", OVER)
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(over: str) -> None:
    mixer, u = layer(over), features(45)
    whole = mixer(u)
    state = mixer.initial_state(2)
    for start, stop in ((0, 5), (5, 6), (6, 23)):
        y, state = mixer.advance(u[:, start:stop], state)
        torch.testing.assert_close(y, whole[:, start:stop])
    torch.testing.assert_close(mixer.advance(u[:, 23:], state)[0], whole[:, 23:])
    for position in range(23, 45):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    torch.testing.assert_close(state, mixer.prefill(u))


@pytest.mark.parametrize("over", OVER)
def test_both_directions_see_valid_positions_only(over: str) -> None:
    mixer, u = layer(over, causal=False), features(9)
    padded = u.clone()
    padded[1, 5:] = 1e6
    y, short = mixer(padded, torch.tensor([9, 5])), u[1:, :5]
    both = paired(mixer, short) + paired(mixer, short.flip(1)).flip(1)
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mapped(mixer, both, short))


@pytest.mark.parametrize("option", ["heads", "expand_v", "levels"])
def test_impossible_options_are_refused(option: str) -> None:
    with pytest.raises(SpecError, match="at least"):
        LogLinear(**{option: 0})
    with pytest.raises(SpecError, match="divide"):
        LogLinear(heads=4).build(width=6, length=8, causal=True)
