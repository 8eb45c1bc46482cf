"""How fast scans and systems of many inputs are: `pytest --benchmark-only tests/perf`."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from baselines.ops.mimo import mimo, naive_mimo
from baselines.ops.scan import naive_scan, scan
from harness.core.seeding import stream

MODES, CHANNELS = 32, 128


def timed(benchmark: Any, call: Callable[[], object]) -> Any:
    """Time single calls after a warm-up, and return what the last one returned."""
    return benchmark.pedantic(call, rounds=5, iterations=1, warmup_rounds=1)


@pytest.mark.parametrize(("form", "length"), [(scan, 1024), (naive_scan, 1024), (scan, 16_384)])
def test_a_scan_over_varying_poles(benchmark: Any, form: Any, length: int) -> None:
    benchmark.group = f"scan, {length}"
    rng = stream("perf")
    pole = torch.polar(*torch.rand(2, 1, length, MODES, generator=rng, dtype=torch.float64))
    v = torch.randn(1, length, MODES, generator=rng, dtype=torch.complex64)
    x = timed(benchmark, lambda: form(v, pole, v[:, 0]))
    torch.testing.assert_close(x[:, 0], v[:, 0] + (pole[:, 0] * v[:, 0]).to(v.dtype))


@pytest.mark.parametrize(("form", "length"), [(mimo, 1024), (naive_mimo, 1024), (mimo, 16_384)])
def test_a_training_step_of_a_system(benchmark: Any, form: Any, length: int) -> None:
    benchmark.group = f"many inputs and outputs, {length}"
    rng = stream("perf")
    u, D = (torch.randn(*shape, generator=rng) for shape in ((1, length, CHANNELS), (CHANNELS,)))
    size, phase = torch.rand(2, MODES, generator=rng, dtype=torch.float64)
    B = torch.randn(MODES, CHANNELS, generator=rng, dtype=torch.complex64)
    C = torch.randn(1, CHANNELS, MODES, generator=rng, dtype=torch.complex64)
    leaves = [leaf.requires_grad_() for leaf in (u, torch.polar(size, phase), B, C, D)]
    rest = torch.zeros(1, MODES, dtype=torch.complex64)

    def step() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(form(*leaves, rest)[0].sum(), leaves)

    gradients = timed(benchmark, step)
    torch.testing.assert_close(gradients[-1], u.detach().sum((0, 1)), rtol=1e-3, atol=1e-2)
