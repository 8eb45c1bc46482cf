"""Decays and inputs of the real-gated linear recurrent unit: one walk over memory after a product.

Both gates' maps are one product, of each block of features with two matrices side by side, whose
results the kernel reads where they lie. The gradient computes gates again, and writes those of the
parameters once a program.

Axes: b batch, l length, s states, k blocks, i states of a block, p programs.
"""

from typing import TYPE_CHECKING, Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from baselines.ops.kernels.functions import expm1, log1p, sigmoid
from baselines.ops.kernels.launch import launch

if TYPE_CHECKING:
    from baselines.ops.scans.rg_lru import Gates

STATES = 64
"""Of a program."""
ROWS = 64
"""Positions of a program."""
SHARPNESS, STEEPEST = tl.constexpr(8), tl.constexpr(1000.0)
"""As in `baselines.ops.scans.rg_lru`."""


def rg_lru_drive(
    x: Float[Tensor, "b l s"], gates: "Gates"
) -> tuple[Float[Tensor, "b l s"], Float[Tensor, "b l s"]]:
    """Return decays, and what is added to the states; see `baselines.ops.scans.rg_lru`."""
    weight = torch.cat([gates.W_a, gates.W_x], -1)
    logits = x.flatten(0, 1).unflatten(-1, (len(weight), -1)).transpose(0, 1) @ weight
    result: tuple[Tensor, Tensor] = _Drive.apply(x, logits, *gates[2:])  # type: ignore[no-untyped-call]
    return result


class _Drive(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, logits: Tensor, b_a: Tensor, b_x: Tensor, Lambda: Tensor
    ) -> tuple[Tensor, Tensor]:
        given = tuple(each.contiguous() for each in (x, logits, b_a, b_x, Lambda))
        ctx.save_for_backward(*given)
        decay, drive = (Lambda.new_empty(x.shape) for _ in range(2))
        _launch(_write_drive, *given, decay, drive)
        return decay, drive

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_decay: Tensor, grad_drive: Tensor) -> tuple[Tensor, ...]:
        x, logits, *vectors = ctx.saved_tensors
        grad_x, grad_logits = torch.empty_like(x), torch.empty_like(logits)
        parts = x.new_empty(
            3, triton.cdiv(x[..., 0].numel(), ROWS), x.shape[-1], dtype=vectors[0].dtype
        )
        grads = grad_decay.contiguous(), grad_drive.contiguous(), grad_x, grad_logits, parts
        _launch(_write_gradients, x, logits, *vectors, *grads)
        return grad_x, grad_logits, *parts.sum(1).unbind()


def _launch(kernel: Any, x: Tensor, logits: Tensor, *rest: Tensor) -> None:
    """Run a kernel whose programs take some positions of some states."""
    states, rows = x.shape[-1], x[..., 0].numel()
    grid = triton.cdiv(rows, ROWS), triton.cdiv(states, STATES)
    given = x, logits, *rest, rows, states, states // len(logits)
    launch(kernel, grid, *given, ROWS=ROWS, STATES=STATES, num_warps=2)


@triton.jit
@no_type_check
def _write_drive(
    x, logits, b_a, b_x, Lambda, decay, drive, rows, states, size,
    ROWS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    first, state, inside, place = _lanes(rows, states, size, ROWS, STATES)
    slope, _, bias_a, bias_x = _vectors(b_a, b_x, Lambda, state, inside)
    logits += place
    at = first.to(tl.int64) * states + state
    for _ in range(tl.minimum(ROWS, rows - first)):
        value, r, i = _gates(x + at, logits, bias_a, bias_x, inside, size)
        log_a = SHARPNESS * slope * r
        root = tl.sqrt(-expm1(2 * log_a))
        tl.store(decay + at, tl.exp(log_a), mask=inside)
        tl.store(drive + at, root * i * value, mask=inside)
        at += states
        logits += 2 * size


@triton.jit
@no_type_check
def _write_gradients(
    x, logits, b_a, b_x, Lambda, grad_decay, grad_drive, grad_x, grad_logits, parts,
    rows, states, size, ROWS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    first, state, inside, place = _lanes(rows, states, size, ROWS, STATES)
    slope, shut, bias_a, bias_x = _vectors(b_a, b_x, Lambda, state, inside)
    logits += place
    grad_logits += place
    to_a = tl.zeros((STATES,), slope.dtype)
    to_x = to_a
    to_Lambda = to_a
    at = first.to(tl.int64) * states + state
    for _ in range(tl.minimum(ROWS, rows - first)):
        value, r, i = _gates(x + at, logits, bias_a, bias_x, inside, size)
        log_a = SHARPNESS * slope * r
        root = tl.sqrt(-expm1(2 * log_a))
        a = tl.exp(log_a)
        above = tl.load(grad_drive + at, mask=inside, other=0.0)
        steep = tl.minimum(0.5 / tl.maximum(root, 1e-30), STEEPEST)
        by_log = tl.load(grad_decay + at, mask=inside, other=0.0) * a
        by_log -= 2 * a * a * steep * above * i * value
        by_r = by_log * SHARPNESS * slope * r * (1 - r)
        by_i = above * root * value * i * (1 - i)
        tl.store(grad_x + at, above * root * i, mask=inside)
        tl.store(grad_logits, by_r, mask=inside)
        tl.store(grad_logits + size, by_i, mask=inside)
        to_a += by_r
        to_x += by_i
        to_Lambda += by_log * SHARPNESS * r * shut
        at += states
        logits += 2 * size
        grad_logits += 2 * size
    parts += tl.program_id(0) * states + state
    whole = tl.num_programs(0) * states
    tl.store(parts, to_a, mask=inside)
    tl.store(parts + whole, to_x, mask=inside)
    tl.store(parts + 2 * whole, to_Lambda, mask=inside)


@triton.jit
@no_type_check
def _lanes(rows, states, size, ROWS: tl.constexpr, STATES: tl.constexpr):
    """Return a program's first position, its states, which there are, and where their maps lie."""
    first = tl.program_id(0) * ROWS
    state = tl.program_id(1) * STATES + tl.arange(0, STATES)
    block = (state // size).to(tl.int64)
    return first, state, state < states, (block * rows + first) * 2 * size + state % size


@triton.jit
@no_type_check
def _vectors(b_a, b_x, Lambda, state, inside):
    """Return the logarithm of sigmoid(Lambda), its slope, and both biases."""
    held = tl.load(Lambda + state, mask=inside, other=0.0)
    log = tl.minimum(held, 0.0) - log1p(tl.exp(-tl.abs(held)))
    bias_a = tl.load(b_a + state, mask=inside, other=0.0)
    return log, sigmoid(-held), bias_a, tl.load(b_x + state, mask=inside, other=0.0)


@triton.jit
@no_type_check
def _gates(x, logits, bias_a, bias_x, inside, size):
    """Return inputs and both gates at a position, in the biases' precision."""
    value = tl.load(x, mask=inside, other=0.0).to(bias_a.dtype)
    r = sigmoid(tl.load(logits, mask=inside, other=0.0).to(bias_a.dtype) + bias_a)
    i = sigmoid(tl.load(logits + size, mask=inside, other=0.0).to(bias_a.dtype) + bias_x)
    return value, r, i
