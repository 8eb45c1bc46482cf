"""The memory of mLSTM by the scan of matrix states, and what stands before and behind it.

The running maximum is torch's, for it has no gradient; what weighs a position and what divides its
output are one launch each, and one backwards.

Axes: b batch, l length, h heads, w = v + 1 value features and the normaliser.
"""

from typing import TYPE_CHECKING, Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.ops.kernels.divided import divided
from baselines.ops.kernels.functions import log1p, sigmoid
from baselines.ops.kernels.launch import launch
from baselines.ops.kernels.matrix_scan import matrix_scan
from baselines.ops.scans.mlstm import running_maximum

if TYPE_CHECKING:
    from baselines.ops.scans.mlstm import Keys, Logits, MLSTMState, Values

SIZE = 256
"""Gates of a program."""


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
    return divided(y, most), (memory, most[:, -1].to(before))


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


def _launch(kernel: Any, like: Tensor, *given: Any) -> None:
    """Run a kernel over all gates."""
    sums = tl.float64 if like.dtype == torch.float64 else tl.float32
    grid = (triton.cdiv(like.numel(), SIZE),)
    launch(kernel, grid, *given, like.numel(), SIZE=SIZE, SUMS=sums, num_warps=4)


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
