"""Mamba's layer against its formula, in both directions, and its training at length."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.mamba import Mamba
from baselines.ops.layers.mamba_layer import MambaLayer, Selection
from harness.core.seeding import scope, stream


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=stream("drawn", *shape), dtype=torch.float64)


def built(width: int = 8, causal: bool = True) -> MambaLayer:
    with scope("init"):
        return Mamba(state=3).build(width=width, length=8, causal=causal).double()


def by_the_formula(s: Selection, x: Tensor) -> Tensor:
    """Follow section 3 of the paper one position and one state at a time."""
    taps, rank, N = s.conv.weight[:, 0], s.dt_proj.shape[1], s.A_log.shape[1]
    h, outputs = [torch.zeros_like(x[:, 0])] * N, []
    for t in range(x.shape[1]):
        lags = range(min(t, 3) + 1)
        seen = F.silu(s.conv.bias + sum(taps[:, 3 - lag] * x[:, t - lag] for lag in lags))
        delta, B, C = (seen @ s.x_proj.weight.T).split([rank, N, N], -1)
        dt = (1 + (delta @ s.dt_proj.T + s.dt_bias).exp()).log()
        y = s.D * seen
        for n in range(N):
            h[n] = (-dt * s.A_log[:, n].exp()).exp() * h[n] + dt * B[:, n : n + 1] * seen
            y = y + C[:, n : n + 1] * h[n]
        outputs.append(y)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("length", [1, 3, 11])
def test_the_layer_is_what_the_paper_writes_down(length: int) -> None:
    layer, u = built(), drawn(2, length, 8)
    x, z = layer.in_proj(u).chunk(2, -1)
    y = by_the_formula(layer.selection, x)
    torch.testing.assert_close(layer(u), (y * F.silu(z)) @ layer.out_proj.weight.T)


def test_both_directions_are_averaged_behind_one_gate() -> None:
    layer, u = built(causal=False), drawn(2, 9, 8)
    x, z = layer.in_proj(u).chunk(2, -1)
    there = by_the_formula(layer.selection, x)
    back = by_the_formula(layer.backward_selection, x.flip(1)).flip(1)
    expected = ((there + back) / 2 * F.silu(z)) @ layer.out_proj.weight.T
    torch.testing.assert_close(layer(u), expected)


def test_the_backward_direction_starts_at_the_last_valid_position() -> None:
    layer, u = built(causal=False), drawn(3, 5, 8)
    padded = layer(u, torch.tensor([5, 2, 1]))
    for row, length in enumerate((5, 2, 1)):
        torch.testing.assert_close(padded[row, :length], layer(u[row : row + 1, :length])[0])


def test_float32_follows_float64_over_262144_positions() -> None:
    layer, u = built(width=2), drawn(1, 262_144, 2)
    with torch.no_grad():
        exact = layer(u)
        single = layer.float()(u.float()).double()
    assert (single - exact).norm() / exact.norm() < 1e-4
