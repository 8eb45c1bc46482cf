"""How fast Mamba's operators are: `pytest --benchmark-only tests/perf`."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from baselines.ops import native
from baselines.ops.causal_conv import causal_conv, naive_causal_conv
from baselines.ops.selective_scan import Selective, chunked_scan, selective_scan
from harness.core.seeding import stream

CHANNELS, STATES = 64, 16


def system(length: int) -> tuple[torch.Tensor, Selective, torch.Tensor]:
    """Draw inputs, a system with the poles that Mamba starts from, and a first state."""
    rng = stream("perf")
    x, logit = (torch.randn(1, length, CHANNELS, generator=rng) for _ in range(2))
    B, C = (torch.randn(1, length, STATES, generator=rng) for _ in range(2))
    A = -torch.arange(1.0, STATES + 1).repeat(CHANNELS, 1)
    drawn = Selective(dt=F.softplus(logit - 4), A=A, B=B, C=C, D=torch.ones(CHANNELS))
    return x.requires_grad_(), drawn, torch.zeros(1, CHANNELS, STATES)


@pytest.mark.parametrize("training", [False, True], ids=["forward", "training"])
@pytest.mark.parametrize("length", [1024, 16_384])
@pytest.mark.parametrize("form", [selective_scan, chunked_scan])
def test_a_selective_scan(benchmark: Any, form: Any, length: int, training: bool) -> None:
    if form is selective_scan and not native.level():
        pytest.skip("no compiler built it")
    benchmark.group = f"selective scan, {length}, {'training' if training else 'forward'}"
    x, drawn, state = system(length)

    def call() -> torch.Tensor:
        with torch.set_grad_enabled(training):
            y = form(x, drawn, state)[0]
            if training:
                y.sum().backward()
            return y

    y = benchmark.pedantic(call, rounds=5, iterations=1, warmup_rounds=1)
    first = drawn.dt[:, 0] * x[:, 0] * (drawn.B * drawn.C)[:, 0].sum(-1) + x[:, 0]
    torch.testing.assert_close(y[:, 0], first, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [1024, 16_384])
@pytest.mark.parametrize("form", [causal_conv, naive_causal_conv])
def test_a_short_causal_convolution(benchmark: Any, form: Any, length: int) -> None:
    benchmark.group = f"short convolution, {length}"
    rng = stream("perf")
    x = torch.randn(1, length, CHANNELS, generator=rng).requires_grad_()
    weight, bias = torch.randn(CHANNELS, 4, generator=rng), torch.zeros(CHANNELS)

    def call() -> torch.Tensor:
        y = form(x, weight, bias, silu=True)
        y.sum().backward()
        return y

    y = benchmark.pedantic(call, rounds=5, iterations=1, warmup_rounds=1)
    torch.testing.assert_close(y[:, 0], F.silu(x[:, 0] * weight[:, 3]))
