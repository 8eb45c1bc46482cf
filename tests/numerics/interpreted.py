"""What tests of kernels in Triton share: its interpreter, which runs them on a CPU.

It knows no time, no races, no shared memory and no rounding of registers to half precision.
"""

import importlib
import os
from collections.abc import Callable, Sequence
from functools import partialmethod
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor


def kernels(name: str) -> ModuleType:
    """Return a module of kernels, interpreted; skip the tests that call it where it cannot be."""
    pytest.importorskip("triton")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("kernels are compiled here, for a GPU", allow_module_level=True)
    function = importlib.import_module("triton.runtime.interpreter").InterpretedFunction
    function.__call__ = partialmethod(_called, whole=function.__call__)
    return importlib.import_module(f"baselines.ops.kernels.{name}")


PREPARED = set[str]()
"""Modules of Triton whose functions have been called, for which the language stays ready."""


def _called(function: Any, *given: Any, whole: Callable[..., Any], **named: Any) -> Any:
    """Call a function from a kernel, without preparing the language a second time.

    That takes ten times as long as the rest. For our own functions the kernel has done it; for
    those of Triton, which see another module of the language, the first of their calls does.
    """
    module = function.fn.__module__
    if module.startswith("baselines.") or module in PREPARED:
        return function.rewrite()(*given, **named)
    result = whole(function, *given, **named)
    PREPARED.add(module)
    return result


def agree(
    form: Callable[..., Any], twin: Callable[..., Any], leaves: Sequence[Tensor], **options: Any
) -> None:
    """Compare two forms in all results and in the gradients to all arguments."""
    torch.testing.assert_close(
        with_gradients(form, leaves, **options), with_gradients(twin, leaves, **options)
    )


def with_gradients(
    form: Callable[..., Any], leaves: Sequence[Tensor], **options: Any
) -> tuple[Tensor, ...]:
    """Return a form's results, and the gradients of a sum in which each number counts its own."""
    results = form(*leaves, **options)
    loss: Any = 0
    for each in results:
        weight = torch.linspace(-1, 1, each.numel(), dtype=torch.float64).view_as(each).cos()
        loss = loss + (weight * (each.real + 2 * each.imag if each.is_complex() else each)).sum()
    return *results, *torch.autograd.grad(loss, [x for x in leaves if x.requires_grad])
