"""Mega: averages by their recurrence, attention by its scores; in pieces and step by step."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.mega import DampedEMA, Mega, MegaLayer
from harness.api import SpecError
from harness.core.seeding import scope, stream

WIDTH, CHUNK = 6, 5
RECIPE = Mega(averages=3, chunk=CHUNK)


def disturbed(mixer: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in mixer.double().parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return mixer


def layer(*, causal: bool = True) -> MegaLayer:
    with scope("layers"):
        return disturbed(RECIPE.build(width=WIDTH, length=8, causal=causal))


def features(length: int) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=stream("u", length), dtype=torch.float64)


def averaged(ema: DampedEMA, u: Tensor, direction: int = 0) -> Tensor:
    """Take a direction's averages position by position, without D."""
    p, alpha = ema.damping[direction].sigmoid(), ema.alpha[direction].sigmoid()
    h, outputs = u.new_zeros(len(u), *p.shape), []
    for x in u.unbind(1):
        h = p * ema.beta[direction] * x[..., None] + (1 - p * alpha) * h
        outputs.append((ema.gamma[direction] * h).sum(-1) / 3**0.5)
    return torch.stack(outputs, 1)


def attended(mixer: MegaLayer, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Let each position look at those of its chunk, one by one."""
    rows = []
    for t in range(q.shape[1]):
        start = t - t % CHUNK
        stop = t + 1 if mixer.causal else min(start + CHUNK, q.shape[1])
        scores = (k[:, start:stop] @ q[:, t, :, None]).squeeze(-1) / q.shape[-1] ** 0.5
        lags = [t - s + (0 if mixer.causal else CHUNK - 1) for s in range(start, stop)]
        weights = (scores + mixer.lags[lags]).softmax(-1)
        rows.append((weights[..., None] * v[:, start:stop]).sum(1))
    return torch.stack(rows, 1)


def walked(mixer: MegaLayer, u: Tensor) -> Tensor:
    y = averaged(mixer.ema, u) + mixer.ema.D * u
    if not mixer.causal:
        # The present belongs to the past's averages.
        after = F.pad(u[:, 1:], (0, 0, 0, 1)).flip(1)
        y = y + averaged(mixer.ema, after, 1).flip(1)
    z = mixer.in_proj(F.silu(y))
    gate, z, r, h = z.split([WIDTH, WIDTH // 2, 2 * WIDTH, WIDTH], -1)
    q, k = (F.silu(z) * g + b for g, b in zip(mixer.gamma, mixer.beta, strict=True))
    mixed = attended(mixer, q, k, F.silu(mixer.v_proj(u)))
    h = F.silu(h + mixer.h_proj(F.silu(r) * mixed))
    return gate.sigmoid() * (h - u)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("length", [1, 4, 5, 17])
def test_the_layer_equals_the_papers_equations(length: int, causal: bool) -> None:
    mixer, u = layer(causal=causal), features(length)
    torch.testing.assert_close(mixer(u), walked(mixer, u))


@pytest.mark.parametrize("length", [1, 5, 13])
def test_steps_and_pieces_continue_what_the_whole_sequence_gives(length: int) -> None:
    mixer, u = layer(), features(length + 12)
    whole = mixer(u)
    first, state = mixer.advance(u[:, :length], mixer.initial_state(2))
    torch.testing.assert_close(first, whole[:, :length])
    for position in range(length, length + 6):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    torch.testing.assert_close(mixer.advance(u[:, length + 6 :], state)[0], whole[:, length + 6 :])


@pytest.mark.parametrize("causal", [True, False])
def test_padding_reaches_no_valid_position(causal: bool) -> None:
    mixer, u = layer(causal=causal), features(17)
    y = mixer(u, torch.tensor([17, 4]))
    torch.testing.assert_close(y[1:, :4], mixer(u[1:, :4]))


def test_every_gradient_is_the_derivative() -> None:
    mixer = layer()
    assert torch.autograd.gradcheck(mixer, features(7).requires_grad_(), fast_mode=True)


def test_averages_begin_with_signs_in_turn() -> None:
    with scope("init"):
        ema = DampedEMA(200, 4, causal=True)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert (ema.beta[0] - signs).std().item() == pytest.approx(0.02, rel=0.1)
    assert ema.damping.std().item() == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("options", [{"averages": 0}, {"chunk": 0}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(SpecError, match="positive"):
        Mega(**options)
