"""Floating-point operations of a call, counted as torch dispatches it.

Matrix products, convolutions and attention are counted by torch's own formulas; transforms as
5/2 n log2 n for a real one (half of the complex radix-2 count); element-wise work is not counted.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

UNCOUNTED = ("aten.mkldnn_rnn_layer", "aten.lstm", "aten.gru", "aten._thnn_fused")
"""Operators that do much work and have no formula."""


def flops(call: Callable[[], object]) -> int | None:
    """Call once and return its operations; None if an operator ran that has no formula."""
    seen: set[str] = set()
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter, Watch(seen):
        call()
    if any(name.startswith(UNCOUNTED) for name in seen):
        return None
    return counter.get_total_flops() or None


class Watch(TorchDispatchMode):
    """Collects the names of the operators that run."""

    def __init__(self, seen: set[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note the operator and run it."""
        self.seen.add(str(func))
        return func(*args, **(kwargs or {}))


def transform(shape: torch.Size, dims: list[int], *_: Any, out_shape: torch.Size, **__: Any) -> int:
    """Count a transform over `dims`, real on one side: 5/2 n log2 n each, n its real length."""
    length = max(math.prod(s[d] for d in dims) for s in (shape, out_shape))
    lines = math.prod(shape) // math.prod(shape[d] for d in dims)
    return round(2.5 * length * math.log2(max(2, length)) * lines)


def attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Count both products of attention; what a causal mask spares is not taken off."""
    return int(sdpa_flop_count(query, key, value))


def attention_backward(
    grad: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any
) -> int:
    """Count the five products of attention's gradient."""
    return int(sdpa_backward_flop_count(grad, query, key, value))


aten = torch.ops.aten
FORMULAS: dict[Any, Any] = {
    aten._fft_r2c: transform,
    aten._fft_c2r: transform,
    aten._fft_c2c: transform,
    aten._scaled_dot_product_flash_attention_for_cpu: attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: attention_backward,
}
