"""Programs that walk through some positions of a head, and sum the gradients of its parameters."""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from torch import Tensor

from baselines.ops.kernels.launch import launch, stretches

NUMBERS = 1024
"""Of a block of positions."""
PROGRAMS = 256
"""For a head at most."""


def cut(x: Tensor, heads: int) -> tuple[int, int, int]:
    """Return a program's positions at a time and in all, and how many programs a head has."""
    block = max(1, NUMBERS // triton.next_power_of_2(x.shape[2] // heads))
    return block, *stretches(x.shape[:2].numel(), block, PROGRAMS)


def launch_for_heads(kernel: Any, heads: int, x: Tensor, *rest: Tensor, **constants: Any) -> None:
    """Run a kernel whose programs walk through some positions of a head."""
    (block, stretch, programs), features = cut(x, heads), x.shape[2] // heads
    launch(
        kernel, (programs, heads), x, *rest, x.shape[:2].numel(), stretch, x.shape[2], features,
        ROWS=block, FEATURES=triton.next_power_of_2(features), num_warps=4,
        SUMS=tl.float64 if rest[-1].dtype == torch.float64 else tl.float32, **constants,
    )  # fmt: skip


@triton.jit
@no_type_check
def program(one, other, stretch, features, FEATURES: tl.constexpr, SUMS: tl.constexpr):
    """Return a program's first position, its head's features, which there are, and parameters."""
    lane = tl.arange(0, FEATURES)[None, :] < features
    col = tl.program_id(1) * features + tl.arange(0, FEATURES)[None, :]
    first = tl.load(one + col, mask=lane, other=0.0).to(SUMS)
    second = tl.load(other + col, mask=lane, other=0.0).to(SUMS)
    return tl.program_id(0) * stretch, col, lane, first, second


@triton.jit
@no_type_check
def write_sums(sums, number, total, width, features, FEATURES: tl.constexpr):
    """Write what a program adds to the gradient of a parameter of its head."""
    lane = tl.arange(0, FEATURES)
    row = number * tl.num_programs(0) + tl.program_id(0)
    place = sums + row * width + tl.program_id(1) * features + lane
    tl.store(place, total, mask=lane < features)
