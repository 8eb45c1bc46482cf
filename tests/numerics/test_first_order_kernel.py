"""The kernel of first-order scans equals the walk, whatever the sizes, in Triton's interpreter."""

import pytest
import torch
from torch import Tensor

from baselines.ops.scans.diagonal_scan import naive_diagonal_scan
from baselines.ops.scans.gated_scan import gated_scan, naive_gated_scan
from baselines.ops.ssm import mimo as ops
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

scans = kernels("first_order_scan")
LENGTHS = [1, 4, 5, 23]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chunks and blocks be so small that several are cheap."""
    monkeypatch.setattr(scans, "LEAST", 4)
    monkeypatch.setattr(scans, "CHANNELS", 2)


def real(length: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Draw gates, some of them shut, what is added, and a state; five channels are odd."""
    rng = stream("real", length)
    a = torch.rand(2, length, 5, generator=rng, dtype=torch.float64)
    a = a.masked_fill(a < 0.1, 0)
    b = torch.randn(2, length, 5, generator=rng, dtype=torch.float64)
    initial = torch.randn(2, 5, generator=rng, dtype=torch.float64)
    return tuple(each.to(dtype).requires_grad_() for each in (a, b, initial))


def complex_(length: int, *, varying: bool) -> tuple[Tensor, ...]:
    """Draw poles inside the unit circle, what drives them, and a state."""
    rng = stream("complex", length)
    shape = (2, length, 3) if varying else (3,)
    size, phase = torch.rand(2, *shape, generator=rng, dtype=torch.float64)
    b = torch.randn(2, length, 3, generator=rng, dtype=torch.complex128)
    initial = torch.randn(2, 3, generator=rng, dtype=torch.complex128)
    return tuple(each.requires_grad_() for each in (torch.polar(size, 7 * phase), b, initial))


def walked(a: Tensor, b: Tensor, initial: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
    """Take complex positions one by one, in either direction."""
    turned = [x.flip(1) if reverse and x.ndim == 3 else x for x in (a, b)]
    states = naive_diagonal_scan(turned[1], turned[0], initial)
    return states.flip(1) if reverse else states, states[:, -1]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_the_kernel_equals_the_walk_in_states_and_gradients(length: int, reverse: bool) -> None:
    agree(scans.first_order_scan, naive_gated_scan, real(length), reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("varying", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_complex_gates_may_be_of_a_channel_or_of_each_position(
    length: int, varying: bool, reverse: bool
) -> None:
    leaves = complex_(length, varying=varying)
    agree(scans.first_order_scan, walked, leaves, reverse=reverse)


def test_gates_and_inputs_may_be_views_with_gaps_or_expanded() -> None:
    a, b, initial = (x.detach() for x in real(9))
    a, b = a[:, :1, :].expand_as(b), b.mT.contiguous().mT
    leaves = tuple(x.requires_grad_() for x in (a, b, initial))
    agree(scans.first_order_scan, naive_gated_scan, leaves, reverse=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_sums_are_in_float32_at_least_and_results_as_what_is_added(dtype: torch.dtype) -> None:
    a, b, initial = (x.detach() for x in real(40, dtype))
    states, last = scans.first_order_scan(a, b, initial)
    exact, _ = naive_gated_scan(a.double(), b.double(), initial.double())
    assert states.dtype == last.dtype == dtype
    torch.testing.assert_close(states, exact.to(dtype))


def test_the_phase_of_a_long_product_is_kept_between_chunks() -> None:
    length, angle = 300, torch.tensor([0.3], dtype=torch.float64)
    pole, exact = (torch.polar(torch.ones_like(angle), n * angle) for n in (1, length))
    b = torch.zeros(1, length, 1, dtype=torch.complex64)
    states, _ = scans.first_order_scan(pole, b, torch.ones(1, 1, dtype=torch.complex64))
    assert (states[0, -1] - exact).abs() < 3e-6
    rounded = pole.to(torch.complex64).to(torch.complex128)
    assert (rounded**length - exact).abs() > 3e-6


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("length", [1, 9])
def test_a_system_of_many_inputs_scans_by_the_kernel_to_the_same_end(
    length: int, directions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = stream("system")
    draw = {"generator": rng, "dtype": torch.complex128}
    pole, _, initial = complex_(length, varying=False)
    u = torch.randn(2, length, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    B, C = torch.randn(3, 4, **draw), torch.randn(directions, 4, 3, **draw)
    leaves = (u, pole, B.requires_grad_(), C.requires_grad_(), u.detach()[0, 0].requires_grad_())
    monkeypatch.setattr(ops, "FORMS", ops.FORMS[:1])
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)
    agree(ops.mimo, ops.naive_mimo, (*leaves, initial))


def test_the_scan_takes_the_kernel_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    kernel = scans.first_order_scan
    monkeypatch.setattr(
        scans, "first_order_scan", lambda *x, **way: calls.append(way) or kernel(*x, **way)
    )
    leaves = real(5)
    expected = gated_scan(*leaves, reverse=True)
    assert calls == []
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)
    torch.testing.assert_close(gated_scan(*leaves, reverse=True), expected)
    assert calls == [{"reverse": True}]
    monkeypatch.setenv("SSM_BENCH_KERNELS", "torch")
    gated_scan(*leaves)
    assert len(calls) == 1
