"""How fast a convolution takes inputs one by one: `pytest --benchmark-only tests/perf`."""

from typing import Any

import pytest
import torch

from baselines.ops.convolution import direct_convolve
from baselines.ops.online_convolution import DIRECT, OnlineConvolution, OnlineState
from harness.core.seeding import stream

CHANNELS, STEPS = 256, 1024


@pytest.mark.parametrize("taps", [1024, 16_384])
def test_a_thousand_steps(benchmark: Any, taps: int) -> None:
    benchmark.group = f"{STEPS} steps of a convolution"
    rng = stream("perf", taps)
    kernel, u = (
        torch.randn(shape, generator=rng) for shape in ((CHANNELS, taps), (STEPS, CHANNELS))
    )
    online = OnlineConvolution(kernel, torch.zeros(CHANNELS))

    def call() -> OnlineState:
        state = OnlineState(torch.zeros(1, DIRECT, CHANNELS), torch.tensor(0))
        for each in u:
            y, state = online.step(each[None], state)
        outputs.append(y)
        return state

    outputs: list[torch.Tensor] = []
    benchmark.pedantic(call, rounds=3, iterations=1, warmup_rounds=1)
    expected = direct_convolve(u[None], kernel[:, None], torch.zeros(CHANNELS))[:, -1]
    torch.testing.assert_close(outputs[-1], expected, rtol=1e-4, atol=1e-3)
