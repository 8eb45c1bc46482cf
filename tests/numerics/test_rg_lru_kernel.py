"""The kernel of Hawk's gates equals torch in decays, inputs and all gradients."""

import pytest
import torch

from baselines.ops.scans.rg_lru import Gates, rg_lru_drive, torch_rg_lru_drive
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

gates = kernels("rg_lru_drive")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks be so small that several are cheap."""
    monkeypatch.setattr(gates, "STATES", 4)
    monkeypatch.setattr(gates, "ROWS", 4)


def drawn(length: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Draw inputs and parameters of two blocks of three states."""
    rng = stream("gates", length)
    shapes = (2, length, 6), (2, 3, 3), (2, 3, 3), (6,), (6,), (6,)
    found = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return [each.to(dtype).requires_grad_() for each in found]


def of(form):
    """Return a form as a function of tensors only."""
    return lambda x, *parameters: form(x, Gates(*parameters))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_kernel_equals_torch_in_results_and_gradients(length: int) -> None:
    agree(of(gates.rg_lru_drive), of(torch_rg_lru_drive), drawn(length))


def test_a_gate_that_is_shut_has_a_bounded_slope() -> None:
    leaves = drawn(3)
    with torch.no_grad():
        leaves[3] -= 800  # r is zero, the decay one and the root's slope infinite.
    agree(of(gates.rg_lru_drive), of(torch_rg_lru_drive), leaves)


def test_decays_near_one_keep_their_digits_in_single_precision() -> None:
    leaves = [each.detach() for each in drawn(4)]
    leaves[5] += 12
    single = of(gates.rg_lru_drive)(*(each.float() for each in leaves))
    exact = of(torch_rg_lru_drive)(*(each.float().double() for each in leaves))
    for found, expected in zip(single, exact, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=1e-9)


def test_a_gpu_takes_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    x, *parameters = drawn(3)
    expected = rg_lru_drive(x, Gates(*parameters))
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)
    calls = []
    kernel = gates.rg_lru_drive
    monkeypatch.setattr(gates, "rg_lru_drive", lambda *given: calls.append(1) or kernel(*given))
    torch.testing.assert_close(rg_lru_drive(x, Gates(*parameters)), expected)
    assert calls == [1]
