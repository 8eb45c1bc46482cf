"""How fast S4's kernel and its continuation are: `pytest --benchmark-only tests/perf`."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.ops import dplr, hippo, krylov
from harness.core.seeding import stream

CHANNELS, STATES = 16, 32


def timed(benchmark: Any, call: Callable[[], Any]) -> Any:
    """Time single calls after a warm-up, and return what the last one returned."""
    return benchmark.pedantic(call, rounds=10, iterations=1, warmup_rounds=2)


def legs() -> tuple[dplr.Continuous, Tensor, Tensor]:
    """Return LegS for every channel, what is read of it, and step sizes."""
    pole, drive, P = hippo.diagonal("legs", STATES)
    parts = pole, P, drive.to(P.dtype)
    system = dplr.Continuous(*(x.expand(CHANNELS, *x.shape) for x in parts))
    rng = stream("perf")
    C = torch.randn(CHANNELS, 1, STATES // 2, generator=rng, dtype=torch.complex64)
    return system, C, torch.logspace(-3, -1, CHANNELS, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("length", [1024, 8192])
@pytest.mark.parametrize("form", ["krylov", "cauchy"])
def test_the_kernel_of_a_low_rank_system(benchmark: Any, form: str, length: int) -> None:
    benchmark.group = f"low-rank kernel, {length}"
    system, C, dt = legs()

    def blocks() -> Tensor:
        dense = dplr.dense(dplr.discretise(system, dt))
        return krylov.kernel(*dense, dplr.reading(C), length)

    def sums() -> Tensor:
        return dplr.cauchy_kernel(system, C, dt, length)

    taps = timed(benchmark, blocks if form == "krylov" else sums)
    first = 2 * (C[:, 0] * dplr.discretise(system, dt).drive).sum(-1).real
    torch.testing.assert_close(taps[:, 0, 0], first.float(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", [krylov.advance, krylov.naive_advance])
def test_continuing_a_dense_system(benchmark: Any, form: Any) -> None:
    benchmark.group = "continuing a dense system, 1024"
    system, C, dt = legs()
    dense = dplr.dense(dplr.discretise(system, dt))
    u = torch.randn(1, 1024, CHANNELS, generator=stream("u"))
    start = torch.zeros(1, CHANNELS, STATES)
    reading = dplr.reading(C)[:, 0]
    y, _ = timed(benchmark, lambda: form(*dense, reading, u, start))
    torch.testing.assert_close(
        y[0, 0], (reading * dense[1].float()).sum(-1) * u[0, 0], rtol=1e-4, atol=1e-4
    )
