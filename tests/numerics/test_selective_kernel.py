"""The kernel of Mamba's scan equals the walk in outputs, the last state and all gradients."""

import pytest
import torch
from torch import Tensor

from baselines.ops.scans.selective_scan import Selective, naive_selective_scan
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

scans = kernels("selective_scan")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chunks, groups and blocks be so small that several are cheap."""
    for name, size in {"CHANNELS": 2, "GROUP": 2, "LEAST": 4}.items():
        monkeypatch.setattr(scans, name, size)


def drawn(length: int, *, gain: bool, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Draw a system of three channels and three states, what it scans, and a first state."""
    rng = stream("selective kernel", length)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.float64)

    row = 2, length, 3
    given = [draw(*row), draw(*row).abs(), -draw(3, 3).exp(), draw(*row), draw(*row), draw(3)]
    given += [draw(2, 3, 3), *([draw(3, 3)] if gain else [])]
    return [each.to(dtype).requires_grad_() for each in given]


def scan(form):
    """Return a form as a function of tensors only."""

    def of(x: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        *system, state = rest[:6]
        parts = dict(zip(("dt", "A", "B", "C", "D", "gain"), (*system, *rest[6:]), strict=False))
        return form(x, Selective(**parts), state)

    return of


@pytest.mark.parametrize("gain", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5, 11])
def test_the_kernel_equals_the_walk_in_results_and_gradients(length: int, gain: bool) -> None:
    leaves = drawn(length, gain=gain)
    agree(scan(scans.selective_scan), scan(naive_selective_scan), leaves)


def test_a_long_step_forgets_everything_and_divides_by_nothing() -> None:
    leaves = drawn(9, gain=False)
    with torch.no_grad():
        leaves[1][:, 4] = 1e4
    agree(scan(scans.selective_scan), scan(naive_selective_scan), leaves)
