"""How fast SGConv's kernel is: `pytest --benchmark-only tests/perf`."""

from typing import Any

import pytest
import torch

from baselines.ops.multiscale import multiscale_kernel, naive_multiscale_kernel, scales
from harness.core.seeding import stream


@pytest.mark.parametrize("form", [multiscale_kernel, naive_multiscale_kernel])
def test_a_kernel_of_stretched_pieces(benchmark: Any, form: Any) -> None:
    benchmark.group = "multi-scale kernel, 1024"
    pieces = torch.randn(scales(1024, 64), 32, 1, 64, generator=stream("perf"))
    decay = torch.full((32,), 2.0)
    taps = benchmark.pedantic(
        lambda: form(pieces, decay, 1024), rounds=5, iterations=1, warmup_rounds=1
    )
    torch.testing.assert_close(taps[..., :64], pieces[0])
