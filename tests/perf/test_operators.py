"""How fast the shared mathematics is: `pytest --benchmark-only tests/perf`."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from baselines.ops import chunked, convolution, diagonal
from harness.core.seeding import stream


def timed(benchmark: Any, call: Callable[[], object]) -> Any:
    """Time single calls after a warm-up, and return what the last one returned."""
    return benchmark.pedantic(call, rounds=10, iterations=1, warmup_rounds=2)


@pytest.mark.parametrize("length", [1024, 16_384])
@pytest.mark.parametrize("form", [diagonal.kernel, diagonal.textbook_kernel])
def test_the_kernel_of_a_diagonal_system(benchmark: Any, form: Any, length: int) -> None:
    benchmark.group = f"diagonal kernel, {length}"
    rng = stream("perf")
    angle = torch.rand(32, 16, generator=rng, dtype=torch.float64)
    pole = torch.polar(torch.full_like(angle, 0.999), angle)
    weight = torch.randn(32, 1, 16, generator=rng, dtype=torch.complex64)
    taps = timed(benchmark, lambda: form(weight, pole, length))
    torch.testing.assert_close(taps[..., 0], weight.sum(-1).real)


@pytest.mark.parametrize("length", [1024, 16_384])
def test_a_causal_convolution(benchmark: Any, length: int) -> None:
    benchmark.group = f"convolution, {length}"
    rng = stream("perf")
    u = torch.randn(1, length, 64, generator=rng)
    kernel = torch.randn(64, 1, length, generator=rng)
    skip = torch.randn(64, generator=rng)
    y = timed(benchmark, lambda: convolution.convolve(u, kernel, skip))
    torch.testing.assert_close(y[:, 0], u[:, 0] * (kernel[:, 0, 0] + skip), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", ["chunked", "split"])
def test_a_training_step_of_a_long_diagonal_system(benchmark: Any, form: str) -> None:
    benchmark.group = "diagonal system, training step, 32,768"
    rng = stream("perf")
    angle = torch.rand(32, 16, generator=rng, dtype=torch.float64)
    pole = torch.polar(torch.full_like(angle, 0.999), angle)
    weight = torch.randn(32, 1, 16, generator=rng, dtype=torch.complex64).requires_grad_()
    u = torch.randn(1, 32_768, 32, generator=rng, requires_grad=True)
    skip = torch.zeros(32)

    def train() -> torch.Tensor:
        if form == "chunked":
            y = chunked.chunked(u, weight, pole, skip)
        else:
            y = convolution.convolve(u, diagonal.kernel(weight, pole, 32_768), skip)
        u.grad = weight.grad = None
        y.sum().backward()
        return y

    y = timed(benchmark, train).detach()
    first = u[:, 0] * weight.sum(-1).real[:, 0]
    torch.testing.assert_close(y[:, 0], first.detach(), rtol=1e-3, atol=1e-3)
