"""Linear maps are one function, with one gradient, whichever library multiplies."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.ops import linear as ops
from baselines.ops.linear import linear
from harness.core.seeding import stream
from harness.measure.flops import flops


def drawn(rows: int, inputs: int, outputs: int, gaps: int = 0) -> list[Tensor]:
    """Draw vectors with gaps, a matrix, a bias and a slope, all of small whole numbers."""
    rng = stream("linear", rows, inputs, outputs)
    shapes = (2, rows, inputs + gaps), (outputs, inputs), (outputs,), (2, rows, outputs)
    x, *rest = (torch.randint(-4, 5, shape, generator=rng).float() for shape in shapes)
    *leaves, slope = x[..., gaps:].detach(), *rest
    return [*(leaf.requires_grad_() for leaf in leaves), slope]


@given(
    rows=st.integers(0, 40), inputs=st.integers(1, 40), outputs=st.integers(1, 40),
    gaps=st.integers(0, 3),
)  # fmt: skip
def test_both_libraries_give_the_same_to_the_last_digit_where_sums_are_exact(
    rows: int, inputs: int, outputs: int, gaps: int
) -> None:
    *leaves, slope = drawn(rows, inputs, outputs, gaps)
    for arguments in (leaves, leaves[:2]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ops, "ROWS", 1)
            y = linear(*arguments)
            gradients = torch.autograd.grad(y, arguments, slope)
        expected = F.linear(*arguments)
        assert torch.equal(y, expected)
        assert all(map(torch.equal, gradients, torch.autograd.grad(expected, arguments, slope)))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_only_many_vectors_in_single_precision_leave_torchs_own_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    product = ops._product
    monkeypatch.setattr(ops, "_product", lambda *given: calls.append(1) or product(*given))
    x, weight, bias, _ = drawn(ops.ROWS, 3, 5)
    for few in (x[:, : ops.ROWS // 2 - 1], x.double()):
        torch.testing.assert_close(linear(few, weight.to(few.dtype)), F.linear(few, weight.to(few)))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
        assert linear(x, weight, bias).dtype == torch.float32
    assert not calls
    linear(x, weight)
    assert calls == [1]


def test_its_operations_are_counted_as_those_of_torchs_own_map() -> None:
    x, weight, _, slope = drawn(ops.ROWS, 3, 5)

    def trained(form: object) -> int | None:
        return flops(lambda: torch.autograd.grad(form(x, weight), [x, weight], slope))

    assert trained(linear) == trained(F.linear) == 3 * 2 * 2 * ops.ROWS * 3 * 5
