"""Floating-point operations of a call, counted as torch dispatches it.

Matrix products, convolutions and attention are counted by torch's own formulas; transforms as
5/2 n log2 n for a real one (half of the complex radix-2 count); element-wise work is not counted.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    flop_registry,
    register_flop_formula,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

UNCOUNTED = ("aten.mkldnn_rnn_layer", "aten.lstm", "aten.gru", "aten._thnn_fused")
"""Operators that do much work and have no formula."""

aten = torch.ops.aten


def flops(call: Callable[[], object]) -> int | None:
    """Call once and return its operations; None if an operator ran that has no formula."""
    with Counter() as counter:
        call()
    return counter.total or None if counter.complete else None


class Counter(TorchDispatchMode):
    """Adds up the operations of what is dispatched, forward and backward.

    torch's own `FlopCounterMode` loads the compiler, which takes longer than most calls that are
    counted, and leaves 70 MB behind.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.total, self.complete = 0, True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, so the compiler need not be loaded to be told to stay out."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operator and count it."""
        out = func(*args, **(kwargs or {}))
        formula: Any = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        self.complete &= not str(func).startswith(UNCOUNTED)
        return out


@register_flop_formula([aten._fft_r2c, aten._fft_c2r, aten._fft_c2c])
def transform(shape: torch.Size, dims: list[int], *_: Any, out_shape: torch.Size, **__: Any) -> int:
    """Count a transform over `dims`, real on one side: 5/2 n log2 n each, n its real length."""
    length = max(math.prod(s[d] for d in dims) for s in (shape, out_shape))
    lines = math.prod(shape) // math.prod(shape[d] for d in dims)
    return round(2.5 * length * math.log2(max(2, length)) * lines)


@register_flop_formula([aten._scaled_dot_product_flash_attention_for_cpu])
def attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Count both products of attention; what a causal mask spares is not taken off."""
    return int(sdpa_flop_count(query, key, value))


@register_flop_formula([aten._scaled_dot_product_flash_attention_for_cpu_backward])
def attention_backward(
    grad: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any
) -> int:
    """Count the five products of attention's gradient."""
    return int(sdpa_backward_flop_count(grad, query, key, value))
