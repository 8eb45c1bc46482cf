"""How fast the gated recurrences are: `pytest --benchmark-only tests/perf`."""

from typing import Any

import pytest
import torch

from baselines.ops.gated_scan import gated_scan, naive_gated_scan
from baselines.ops.gla import gla, recurrent_gla
from baselines.ops.ssd import recurrent_ssd, ssd
from harness.core.seeding import stream

LENGTH = 1024


def timed(benchmark: Any, form: Any, inputs: tuple) -> torch.Tensor:
    """Time calls after a warm-up, and return the last one's outputs."""
    return benchmark.pedantic(form, inputs, rounds=10, iterations=1, warmup_rounds=2)[0]


@pytest.mark.parametrize("form", [gated_scan, naive_gated_scan])
def test_a_gated_scan(benchmark: Any, form: Any) -> None:
    benchmark.group = f"gated scan, {LENGTH}"
    rng = stream("perf")
    a, b = torch.rand(2, 1, LENGTH, 128, generator=rng)
    h = timed(benchmark, form, (a, b, torch.zeros(1, 128)))
    torch.testing.assert_close(h[:, 0], b[:, 0])


@pytest.mark.parametrize("form", [ssd, recurrent_ssd])
def test_an_ssd(benchmark: Any, form: Any) -> None:
    benchmark.group = f"ssd, {LENGTH}"
    rng = stream("perf")
    x = torch.randn(1, LENGTH, 4, 64, generator=rng)
    dt = torch.rand(1, LENGTH, 4, generator=rng)
    B, C = torch.randn(2, 1, LENGTH, 1, 64, generator=rng)
    y = timed(benchmark, form, (x, dt, -dt, B, C, torch.zeros(1, 4, 64, 64)))
    first = (B[:, 0, 0] * C[:, 0, 0]).sum() * dt[:, 0, :, None] * x[:, 0]
    torch.testing.assert_close(y[:, 0], first, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", [gla, recurrent_gla])
def test_gated_linear_attention(benchmark: Any, form: Any) -> None:
    benchmark.group = f"gla, {LENGTH}"
    rng = stream("perf")
    q, k, v, f = torch.rand(4, 1, LENGTH, 16, 8, generator=rng)
    y = timed(benchmark, form, (q, k, v, f, torch.zeros(1, 16, 8, 8)))
    torch.testing.assert_close(y[:, 0], (q[:, 0] * k[:, 0]).sum(-1, keepdim=True) * v[:, 0])
