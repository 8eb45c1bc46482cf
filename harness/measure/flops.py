"""Floating-point operations of a call, counted as torch dispatches it.

Matrix products, convolutions and attention are counted by torch's own formulas; transforms as
5/2 n log2 n for a real one (half of the complex radix-2 count); element-wise work is not counted.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from harness.core.private_torch import private_torch

UNCOUNTED = ("aten.mkldnn_rnn_layer", "aten.lstm", "aten.gru", "aten._thnn_fused")
"""Operators that do much work and have no formula."""


def flops(call: Callable[[], object]) -> int | None:
    """Call once and return its operations; None if an operator ran that has no formula.

    Raises:
        SpecError: This torch lacks a name that counting needs.
    """
    with counter_class()() as counter:
        call()
    return counter.total or None if counter.complete else None


@cache
def counter_class() -> Any:
    """Make what counts, and give torch the formulas that it has not.

    torch's own `FlopCounterMode` loads the compiler, which takes longer than most calls that are
    counted, and leaves 70 MB behind.
    """
    for name, formula in FORMULAS.items():
        register_flop_formula(private_torch(name))(formula)
    formulas = private_torch("torch.utils.flop_counter.flop_registry")
    mode = private_torch("torch.utils._python_dispatch.TorchDispatchMode")
    private_torch("torch.utils._python_dispatch.TorchDispatchMode._should_skip_dynamo")

    class Counter(mode):  # type: ignore[misc, valid-type]  # it is found while this runs
        """Adds up the operations of what is dispatched, forward and backward."""

        def __init__(self) -> None:
            super().__init__()
            self.total, self.complete = 0, True

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            """Nothing is compiled here, so the compiler need not be loaded to stay out."""
            return False

        def __torch_dispatch__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
        ) -> Any:
            """Run an operator and count it."""
            out = func(*args, **(kwargs or {}))
            if formula := formulas.get(func.overloadpacket):
                self.total += formula(*args, **(kwargs or {}), out_val=out)
            self.complete &= not str(func).startswith(UNCOUNTED)
            return out

    return Counter


def transform(shape: torch.Size, dims: list[int], *_: Any, out_shape: torch.Size, **__: Any) -> int:
    """Count a transform over `dims`, real on one side: 5/2 n log2 n each, n its real length."""
    length = max(math.prod(s[d] for d in dims) for s in (shape, out_shape))
    lines = math.prod(shape) // math.prod(shape[d] for d in dims)
    return round(2.5 * length * math.log2(max(2, length)) * lines)


def attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Count both products of attention; what a causal mask spares is not taken off."""
    return int(private_torch("torch.utils.flop_counter.sdpa_flop_count")(query, key, value))


def attention_backward(
    grad: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any
) -> int:
    """Count the five products of attention's gradient."""
    count = private_torch("torch.utils.flop_counter.sdpa_backward_flop_count")
    return int(count(grad, query, key, value))


def linear(x: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
    """Count a linear map of each vector."""
    return 2 * math.prod(x) * weight[0]


FORMULAS: dict[str, Callable[..., int]] = {
    "torch.ops.aten._fft_r2c": transform,
    "torch.ops.aten._fft_c2r": transform,
    "torch.ops.aten._fft_c2c": transform,
    "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu": attention,
    "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward": attention_backward,
}
"""Operators of torch's that have no formula of its own."""
if torch.backends.mkldnn.is_available():
    FORMULAS |= {"torch.ops.mkldnn._linear_pointwise": linear}
