"""How fast attention of linear time is: `pytest --benchmark-only tests/perf`."""

from typing import Any

import pytest
import torch

from baselines.linear_attention import EluPlusOne
from baselines.ops import attention, kernel_attention, windows
from harness.core.seeding import stream


def heads(length: int) -> list[torch.Tensor]:
    rng = stream("perf", length)
    return [torch.randn(1, length, 2, 16, generator=rng) for _ in "qkv"]


@pytest.mark.parametrize("length", [1024, 8192])
def test_causal_attention_by_kernel_features(benchmark: Any, length: int) -> None:
    benchmark.group = f"kernel attention, {length}"
    q, k, v = heads(length)
    state, features = torch.zeros(1, 2, 16, 17), EluPlusOne(16)
    y, _ = benchmark.pedantic(
        lambda: kernel_attention.causal_attend(q, k, v, state, features), rounds=10, warmup_rounds=2
    )
    torch.testing.assert_close(y[:, 0], v[:, 0])


@pytest.mark.parametrize("length", [1024, 8192])
def test_causal_attention_within_windows(benchmark: Any, length: int) -> None:
    benchmark.group = f"local attention, {length}"
    q, k, v = heads(length)
    y = benchmark.pedantic(
        lambda: windows.attend_causal_windows(q, k, v, 128), rounds=10, warmup_rounds=2
    )
    last = slice(length - 256, length)
    expected = attention.attend(q[:, -1:], k[:, last], v[:, last])
    torch.testing.assert_close(y[:, -1:], expected)
