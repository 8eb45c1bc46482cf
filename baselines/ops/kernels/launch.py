"""Runs kernels, and is the one place that does, so that whoever counts launches looks here."""

import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Run a kernel on the device of its tensors; on tensors without memory there is nothing to do.

    Args:
        kernel: What `triton.jit` made.
        grid: Programs along up to three axes; only the first one may exceed 65,535.
        arguments: Tensors, which it takes as addresses, and numbers.
        constants: What it is compiled for.
    """
    announce(kernel, arguments, constants)
    device = next(each.device for each in arguments if isinstance(each, Tensor))
    if device.type == "meta" or not math.prod(grid):
        return
    # Triton launches on the current device, which need not be the one of the tensors.
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        # Named, since Triton's default changes with its versions.
        kernel[grid](*arguments, enable_fp_fusion=True, **constants)


def stretches(rows: int, block: int, most: int) -> tuple[int, int]:
    """Return the rows of a program that walks through blocks, and how many programs there are.

    Args:
        rows: Of all programs.
        block: Rows that a program takes at a time, a power of two.
        most: Programs, each of which leaves a sum that torch adds up.
    """
    stretch = max(block, 1 << (-(-rows // most) - 1).bit_length())
    return stretch, -(-rows // stretch)


def may_round(x: Tensor) -> bool:
    """Say whether factors of products may be rounded, as torch would round them."""
    switch = torch.backends.cuda.matmul.allow_tf32 or torch.is_autocast_enabled("cuda")
    return switch or x.dtype in (torch.float16, torch.bfloat16)


def of_products(x: Tensor) -> torch.dtype:
    """Return the precision in which torch would multiply a tensor."""
    under = torch.is_autocast_enabled("cuda")
    return torch.get_autocast_dtype("cuda") if under else x.dtype


def announce(kernel: Any, arguments: tuple[Any, ...], constants: dict[str, Any]) -> None:
    """Tell nobody of a launch; whoever counts launches takes this place."""
