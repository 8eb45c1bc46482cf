"""Softplus and the gate, compiled and in torch, are what torch's own operators make of them."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.activations import gated, softplus
from baselines.ops.scans import native
from harness.core.seeding import stream

LEVELS = native.LEVELS[: native.library().scan_level() + 1] if native.library() else ()
every_form = pytest.mark.parametrize("level", ["0", *LEVELS])


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=stream("drawn", *shape), dtype=torch.float64)


@every_form
@pytest.mark.parametrize("scale", [1, 30])
def test_gate_and_softplus_have_torchs_values_and_gradients(
    scale: float, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_BENCH_NATIVE", level)
    y, z = (scale * drawn(2, 7, 3).roll(turn) for turn in (0, 1))
    for ours, torchs in (
        (lambda: gated(y, z), lambda: y * z * z.sigmoid()),
        (lambda: softplus(z) * y, lambda: torch.logaddexp(z, torch.zeros_like(z)) * y),
    ):
        leaves = [y.requires_grad_(), z.requires_grad_()]
        values = [form() for form in (ours, torchs)]
        torch.testing.assert_close(*values)
        grads = [torch.autograd.grad((value * drawn(2, 7, 3)).sum(), leaves) for value in values]
        torch.testing.assert_close(*grads)


@every_form
@pytest.mark.parametrize("turned", [False, True])
def test_a_gate_and_its_gradients_are_those_of_the_formula(
    turned: bool, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_BENCH_NATIVE", level)
    rng = stream("gates")
    leaves = [torch.randn(2, 5, 7, generator=rng, dtype=torch.float64) for _ in range(2)]
    leaves = [(x.mT.contiguous().mT if turned else x).requires_grad_() for x in leaves]
    y, z = leaves
    weight = torch.randn(2, 5, 7, generator=rng, dtype=torch.float64)
    weight = weight.mT.contiguous().mT if turned else weight

    for made, wanted in ((gated(y, z), y * F.silu(z)), (softplus(z), F.softplus(z, threshold=40))):
        torch.testing.assert_close(made, wanted)
        pairs = [
            torch.autograd.grad(x, leaves, weight, retain_graph=True, allow_unused=True)
            for x in (made, wanted)
        ]
        torch.testing.assert_close(*pairs)


@every_form
def test_single_precision_stays_relative_where_softplus_and_its_slope_fade(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_BENCH_NATIVE", level)
    x = torch.linspace(-80, 80, 4001).requires_grad_()
    exact = x.double()
    y = softplus(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    wanted = torch.logaddexp(exact, torch.zeros_like(exact))
    torch.testing.assert_close(y.double(), wanted, rtol=2e-5, atol=0)
    torch.testing.assert_close(slope.double(), exact.sigmoid(), rtol=2e-5, atol=0)


@every_form
def test_the_ends_of_the_number_line_are_kept(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSM_BENCH_NATIVE", level)
    x = torch.tensor([0.0, math.inf, math.nan, 1e30, -1e30])
    torch.testing.assert_close(softplus(x), F.softplus(x), equal_nan=True)
    finite = x[[0, 2, 3, 4]]
    torch.testing.assert_close(
        gated(torch.ones(4), finite), F.silu(finite), equal_nan=True, rtol=1e-6, atol=1e-5
    )
