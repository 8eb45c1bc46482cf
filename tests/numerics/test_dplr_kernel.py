"""The kernel of diagonal-plus-low-rank systems equals Cauchy sums, in Triton's interpreter."""

import pytest
import torch
from torch import Tensor

from baselines.ops.ssm import dplr, hippo
from harness.core.seeding import stream
from harness.plugins.loading import load_model
from tests.numerics.interpreted import agree, kernels

kernel = kernels("dplr_taps")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tiles be no larger than a few states."""
    monkeypatch.setattr(kernel, "LEAST", 2)


def drawn(rank: int, modes: int, readings: int) -> list[Tensor]:
    """Draw poles, P, B, C and step sizes of two channels."""
    rng = stream("dplr kernel", rank, modes, readings)

    def normal(*shape: int) -> Tensor:
        return torch.randn(2, *shape, generator=rng, dtype=torch.complex128)

    pole = torch.complex(-normal(modes).abs(), 5 * normal(modes).real)
    dt = torch.rand(2, 1, generator=rng, dtype=torch.float64) / 5 + 0.01
    leaves = pole, normal(rank, modes), normal(modes), normal(readings, modes), dt
    return [leaf.requires_grad_() for leaf in leaves]


def flat(form):
    """Let a form take the parts of a system one by one."""
    return lambda *x, length: (form(dplr.Continuous(*x[:3]), *x[3:], length),)


@pytest.mark.parametrize(
    ("rank", "modes", "readings", "length"),
    [(1, 1, 1, 1), (1, 3, 1, 2), (1, 4, 2, 21), (2, 3, 1, 64), (3, 2, 2, 37)],
)
def test_taps_and_all_gradients_are_those_of_cauchy_sums(
    rank: int, modes: int, readings: int, length: int
) -> None:
    leaves = drawn(rank, modes, readings)
    agree(flat(kernel.dplr_taps), flat(dplr.cauchy_kernel), leaves, length=length)


def test_single_precision_loses_no_digits_to_a_long_walk() -> None:
    parts = [part.to(torch.complex128)[None] for part in hippo.diagonal("legs", 8)]
    pole, B, P = parts
    dt = torch.full((1, 1), 1e-3, dtype=torch.float64)
    C = torch.randn(1, 1, 4, generator=stream("reading"), dtype=torch.complex64)
    system = dplr.Continuous(pole, P, B)
    found = kernel.dplr_taps(system, C, dt, 1001)
    exact = dplr.krylov_taps(system, C.to(torch.complex128), dt, 1001)
    assert found.dtype == torch.float32
    assert (found - exact).norm() < 1e-6 * exact.norm()


def test_s4_takes_the_kernel_on_a_gpu_up_to_so_many_states(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (
        load_model(f"s4[state={2 * modes}]").build(width=2, length=9, causal=False)
        for modes in (2, dplr.MOST_MODES + 1)
    )
    assert small.path() == "krylov+fft"
    expected = small.kernel(9)
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)
    assert (small.path(), large.path()) == ("triton+fft", "krylov+fft")
    calls, real = [], kernel.dplr_taps
    monkeypatch.setattr(kernel, "dplr_taps", lambda *x: calls.append(1) or real(*x))
    torch.testing.assert_close(small.kernel(9), expected)
    assert calls == [1]
