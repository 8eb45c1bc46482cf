"""Kernels of stretched pieces equal torch, in Triton's interpreter."""

import pytest
import torch

from baselines.ops.convolution.multiscale import naive_multiscale_kernel, torch_multiscale_kernel
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

taps = kernels("multiscale_kernel")


@pytest.mark.parametrize(
    ("pieces", "size", "length"), [(1, 1, 1), (1, 5, 3), (4, 3, 24), (5, 3, 29), (5, 1, 99)]
)
def test_taps_and_gradients_are_alike(
    pieces: int, size: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taps, "TAPS", 8)
    rng = stream("pieces", pieces, size)
    drawn = torch.randn(pieces, 2, 2, size, generator=rng, dtype=torch.float64).requires_grad_()
    decay = torch.tensor([1.5, 3.0], dtype=torch.float64)

    def of(form):
        return lambda given: (form(given, decay, length),)

    agree(of(taps.multiscale_kernel), of(torch_multiscale_kernel), [drawn])
    agree(of(taps.multiscale_kernel), of(naive_multiscale_kernel), [drawn])
