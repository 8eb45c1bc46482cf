"""The kernel of short convolutions equals torch's own, in Triton's interpreter."""

from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.ops.convolution import causal_conv as ops
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

kernel = kernels("causal_conv")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks and stretches be so small that several are cheap."""
    for name, size in (("ROWS", 4), ("CHANNELS", 4), ("STRETCHES", 3)):
        monkeypatch.setattr(kernel, name, size)


def drawn(length: int, taps: int, *, bias: bool = True, state: bool = True) -> list[Any]:
    """Draw inputs of three channels, taps, and what may be left out."""
    rng = stream("conv", length, taps)
    shapes = (2, length, 3), (3, taps), (3,), (2, taps - 1, 3)
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    given = True, True, bias, state
    return [x.requires_grad_() if has else None for x, has in zip(leaves, given, strict=True)]


def agrees(leaves: list[Any], *, silu: bool) -> None:
    """Compare outputs and the gradients of all that is given."""

    def taking(form: Any) -> Any:
        def run(*given: Tensor) -> tuple[Tensor]:
            rest = iter(given)
            return (form(*(x if x is None else next(rest) for x in leaves), silu=silu),)

        return run

    given = [x for x in leaves if x is not None]
    agree(taking(kernel.causal_conv), taking(ops.naive_causal_conv), given)


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5, 13])
def test_the_kernel_equals_torchs_convolution_in_value_and_gradients(
    length: int, silu: bool
) -> None:
    agrees(drawn(length, 4), silu=silu)


@pytest.mark.parametrize("taps", [1, 2, 7])
def test_it_takes_any_few_taps(taps: int) -> None:
    agrees(drawn(9, taps), silu=True)


@pytest.mark.parametrize(("bias", "state"), [(True, False), (False, True), (False, False)])
def test_what_is_left_out_counts_as_zero(bias: bool, state: bool) -> None:
    agrees(drawn(9, 3, bias=bias, state=state), silu=True)


def test_inputs_and_taps_may_be_views_with_gaps() -> None:
    x, weight, bias, state = (each.detach() for each in drawn(9, 4))
    views = x.mT.contiguous().mT, weight.mT.contiguous().mT, bias, state.mT.contiguous().mT
    agrees([each.requires_grad_() for each in views], silu=True)
    parts = torch.randn(2, 9, 8, dtype=torch.float64, generator=stream("parts")).split((3, 5), 2)
    agrees([parts[0].requires_grad_(), *views[1:]], silu=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_outputs_are_as_precise_as_the_taps_and_gradients_as_what_they_are_of(
    dtype: torch.dtype,
) -> None:
    leaves = [each.detach() for each in drawn(9, 4)]
    rough = [each.to(dtype).requires_grad_() for each in leaves]
    y = kernel.causal_conv(*rough, silu=True)
    exact = ops.naive_causal_conv(*(each.detach().double() for each in rough), silu=True)
    torch.testing.assert_close(y, exact.to(dtype))
    fine = [rough[0], *(each.float().detach().requires_grad_() for each in leaves[1:])]
    y = kernel.causal_conv(*fine, silu=True)
    assert y.dtype == torch.float32
    y.sum().backward()
    assert [each.grad.dtype for each in fine] == [dtype, *[torch.float32] * 3]


def test_the_convolution_takes_the_kernel_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = kernel.causal_conv
    monkeypatch.setattr(kernel, "causal_conv", lambda *x, **o: calls.append(o) or real(*x, **o))
    leaves = drawn(5, 4)
    expected = ops.causal_conv(*leaves, silu=True)
    assert calls == []
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)
    torch.testing.assert_close(ops.causal_conv(*leaves, silu=True), expected)
    assert calls == [{"silu": True}]
    monkeypatch.setattr(ops, "MOST_TAPS", 3)
    ops.causal_conv(*leaves, silu=True)
    assert len(calls) == 1
