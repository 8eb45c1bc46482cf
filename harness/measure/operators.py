"""Which operators of attention run on which device: each is called once, small, in a child.

What is installed says little: a compiled part may not load beside another torch than its own.
"""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "unfused": SDPBackend.MATH,
}
"""What torch's fused attention may choose from; the last holds all scores."""
DTYPES = (torch.float32, torch.bfloat16)


def fused(q: Tensor) -> Tensor:
    """Attend to the past by torch's choice."""
    return F.scaled_dot_product_attention(q, q, q, is_causal=True)


def xformers(q: Tensor) -> Tensor:
    """Attend by xformers' choice."""
    from xformers.ops import fmha  # noqa: PLC0415 - it may not be importable, which is the question

    attended: Tensor = fmha.memory_efficient_attention(q, q, q)
    return attended


def trial(operator: Callable[[Tensor], Tensor], device: str, dtype: torch.dtype) -> str:
    """Call an operator with (1, 64, 64, 64) tensors; say why it fails, nothing if it runs."""
    try:
        attended = operator(torch.ones(1, 64, 64, 64, device=device, dtype=dtype))
        return "" if bool(attended.isfinite().all()) else "its output is not finite"
    except Exception as error:  # an operator may fail in any way, which is what is asked
        return str(error).partition(" with inputs")[0].partition("\n")[0] or type(error).__name__


def kernels(device: str, dtype: torch.dtype) -> Iterator[str]:
    """Yield the kernels of torch's fused attention that run."""
    for name, kernel in KERNELS.items():
        with sdpa_kernel(kernel), warnings.catch_warnings(action="ignore"):
            if not trial(fused, device, dtype):
                yield name


def trials() -> list[dict[str, Any]]:
    """Try every operator on every device in every precision."""
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    return [
        {
            "device": device,
            "dtype": str(dtype).removeprefix("torch."),
            "fused": trial(fused, device, dtype),
            "ran": list(kernels(device, dtype)),
            "xformers": trial(xformers, device, dtype),
        }
        for device in devices
        for dtype in DTYPES
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(trials()))
