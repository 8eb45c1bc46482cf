"""The memory of mLSTM by the scan of matrix states, and what stands before and behind it.

The running maximum is torch's, for it has no gradient; what weighs a position and what divides its
output are one launch each, and one backwards.

Axes: b batch, l length, h heads, w = v + 1 value features and the normaliser.
"""

from typing import TYPE_CHECKING, Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Float64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.kernels.functions import log1p, sigmoid
from baselines.ops.kernels.launch import launch
from baselines.ops.kernels.matrix_scan import matrix_scan
from baselines.ops.scans.mlstm import running_maximum

if TYPE_CHECKING:
    from baselines.ops.scans.mlstm import Keys, Logits, MLSTMState, Values

SIZE = 256
"""Gates of a program."""
NUMBERS = 2048
"""Outputs of a program, which takes those of whole heads."""


def mlstm(
    q: "Keys", k: "Keys", v: "Values", write: "Logits", forget: "Logits", state: "MLSTMState"
) -> tuple["Values", "MLSTMState"]:
    """Return the outputs and the last state; see `baselines.ops.scans.mlstm`."""
    memory, before = state
    dtype = memory.dtype
    with torch.no_grad():
        log_f = F.logsigmoid(forget.double())
        most = running_maximum(log_f, write, before)
    step, decay = _Gates.apply(write, forget, before, most, dtype)  # type: ignore[no-untyped-call]
    # The normaliser is a sum over a long past, so no factor is rounded.
    with torch.autocast(v.device.type, enabled=False):
        y, memory = matrix_scan(q, k, F.pad(v.to(dtype), (0, 1), value=1.0), memory, decay, step)
    divided: Tensor = _Divided.apply(y, most)  # type: ignore[no-untyped-call]
    return divided, (memory, most[:, -1].to(before))


class _Gates(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        write: Tensor,
        forget: Tensor,
        before: Tensor,
        most: Float64[Tensor, "b l h"],
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        given = write.contiguous(), forget.contiguous(), most
        ctx.save_for_backward(*given)
        ctx.before = before.dtype
        step, decay = (torch.empty_like(most, dtype=dtype) for _ in range(2))
        heads = most.shape[2]
        _launch(_write_gates, step, *given, before.contiguous(), step, decay, most.shape[1], heads)
        return step, decay

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_step: Tensor, grad_decay: Tensor) -> tuple[Tensor | None, ...]:
        write, forget, most = ctx.saved_tensors
        above = grad_step.contiguous(), grad_decay.contiguous()
        grads = torch.empty_like(write), torch.empty_like(forget)
        _launch(_write_gradients_of_gates, above[0], write, forget, most, *above, *grads)
        return *grads, above[1][:, 0].to(ctx.before), None, None


class _Divided(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Float[Tensor, "b l h w"], most: Float64[Tensor, "b l h"]
    ) -> Float[Tensor, "b l h v"]:
        ctx.save_for_backward(y, most)
        result = y.new_empty(*most.shape, y.shape[-1] - 1)
        _launch_rows(_write_divided, y, most, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        y, most = ctx.saved_tensors
        grad_y = torch.empty_like(y)
        _launch_rows(_write_gradients_of_divided, y, most, grad.contiguous(), grad_y)
        return grad_y, None


def _launch(kernel: Any, like: Tensor, *given: Any) -> None:
    """Run a kernel over all gates."""
    sums = tl.float64 if like.dtype == torch.float64 else tl.float32
    grid = (triton.cdiv(like.numel(), SIZE),)
    launch(kernel, grid, *given, like.numel(), SIZE=SIZE, SUMS=sums, num_warps=4)


def _launch_rows(kernel: Any, y: Tensor, most: Tensor, *given: Tensor) -> None:
    """Run a kernel over the outputs of all heads at all positions."""
    values = y.shape[-1] - 1
    features = triton.next_power_of_2(values)
    block = max(1, NUMBERS // features)
    launch(
        kernel, (triton.cdiv(most.numel(), block),), y, most, *given, most.numel(), values,
        ROWS=block, VALUES=features, TINY=torch.finfo(y.dtype).tiny, num_warps=4,
        SUMS=tl.float64 if y.dtype == torch.float64 else tl.float32,
    )  # fmt: skip


@triton.jit
@no_type_check
def _write_gates(
    write, forget, most, before, step, decay, length, heads, count,
    SIZE: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside, position = at < count, at // heads
    first = position % length == 0
    largest = tl.load(most + at, mask=inside, other=0.0)
    past = tl.load(most + at - heads, mask=inside & ~first, other=0.0)
    place = before + position // length * heads + at % heads
    past += tl.load(place, mask=inside & first, other=0.0).to(tl.float64)
    logit = tl.load(forget + at, mask=inside, other=0.0).to(SUMS)
    log_f = tl.minimum(logit, 0.0) - log1p(tl.exp(-tl.abs(logit)))
    weight = tl.load(write + at, mask=inside, other=0.0).to(tl.float64) - largest
    # Differences in double, so that they keep their digits however far the sums went.
    tl.store(step + at, tl.exp(weight.to(SUMS)), mask=inside)
    tl.store(decay + at, log_f.to(tl.float64) + (past - largest), mask=inside)


@triton.jit
@no_type_check
def _write_gradients_of_gates(
    write, forget, most, grad_step, grad_decay, grad_write, grad_forget, count,
    SIZE: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    inside = at < count
    weight = tl.load(write + at, mask=inside, other=0.0).to(tl.float64)
    weight -= tl.load(most + at, mask=inside, other=0.0)
    above = tl.load(grad_step + at, mask=inside, other=0.0)
    tl.store(grad_write + at, above * tl.exp(weight.to(SUMS)), mask=inside)
    logit = tl.load(forget + at, mask=inside, other=0.0).to(SUMS)
    above = tl.load(grad_decay + at, mask=inside, other=0.0)
    tl.store(grad_forget + at, above * sigmoid(-logit), mask=inside)


@triton.jit
@no_type_check
def _write_divided(
    y, most, result, rows, values,
    ROWS: tl.constexpr, VALUES: tl.constexpr, TINY: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    row, col, inside = _places(rows, values, ROWS, VALUES)
    _, divisor, _ = _divisor(y, most, row, rows, values, TINY, SUMS)
    value = tl.load(y + row * (values + 1) + col, mask=inside, other=0.0).to(SUMS)
    tl.store(result + row * values + col, value / divisor, mask=inside)


@triton.jit
@no_type_check
def _write_gradients_of_divided(
    y, most, grad, grad_y, rows, values,
    ROWS: tl.constexpr, VALUES: tl.constexpr, TINY: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    row, col, inside = _places(rows, values, ROWS, VALUES)
    total, divisor, counts = _divisor(y, most, row, rows, values, TINY, SUMS)
    place = row * (values + 1) + col
    value = tl.load(y + place, mask=inside, other=0.0).to(SUMS) / divisor
    above = tl.load(grad + row * values + col, mask=inside, other=0.0).to(SUMS) / divisor
    tl.store(grad_y + place, above, mask=inside)
    by_divisor = -tl.sum(above * value, 1)[:, None]
    by_total = tl.where(counts, tl.where(total < 0, -by_divisor, by_divisor), 0.0)
    tl.store(grad_y + row * (values + 1) + values, by_total, mask=row < rows)


@triton.jit
@no_type_check
def _places(rows, values, ROWS: tl.constexpr, VALUES: tl.constexpr):
    """Return a program's rows, the features, and which there are."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    col = tl.arange(0, VALUES)[None, :]
    return row, col, (row < rows) & (col < values)


@triton.jit
@no_type_check
def _divisor(y, most, row, rows, values, TINY: tl.constexpr, SUMS: tl.constexpr):
    """Return normalisers, what is divided by, and where that is the normaliser."""
    total = tl.load(y + row * (values + 1) + values, mask=row < rows, other=1.0).to(SUMS)
    least = tl.exp(-tl.load(most + row, mask=row < rows, other=0.0).to(SUMS))
    least = tl.maximum(least, TINY)
    return total, tl.maximum(tl.abs(total), least), tl.abs(total) > least
