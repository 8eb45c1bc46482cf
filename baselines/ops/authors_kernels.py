"""The CUDA kernels of Mamba's authors, `mamba_ssm` and `causal_conv1d`, where they are installed.

They know float32 and less, no state to begin with, and want time innermost.

Axes: b batch, l length, d channels, k taps, n states.
"""

from importlib import import_module
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor


def has_scan(x: Tensor) -> bool:
    """Say whether `scan` can run where a tensor lies, in its precision."""
    return x.is_cuda and x.dtype != torch.float64 and find_spec("mamba_ssm") is not None


def scan(
    x: Float[Tensor, "b l d"],
    dt: Float[Tensor, "b l d"],
    A: Float[Tensor, "d n"],
    B: Float[Tensor, "b l n"],
    C: Float[Tensor, "b l n"],
    D: Float[Tensor, " d"],
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]:
    """Scan from zero; returns the outputs and the last state, which carries no gradient."""
    kernel = import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
    x, dt, B, C = (part.mT.contiguous() for part in (x, dt, B, C))
    y, last = kernel(x, dt, A, B, C, D, return_last_state=True)
    return y.mT, last


def has_conv(x: Tensor, taps: int) -> bool:
    """Say whether `conv` can run where a tensor lies, in its precision and with so many taps."""
    fits = x.is_cuda and x.dtype != torch.float64 and 2 <= taps <= 4
    return fits and find_spec("causal_conv1d") is not None


def conv(
    x: Float[Tensor, "b l d"],
    weight: Float[Tensor, "d k"],
    bias: Float[Tensor, " d"] | None,
    *,
    silu: bool,
) -> Float[Tensor, "b l d"]:
    """Convolve from zeros, and apply SiLU if asked to."""
    kernel = import_module("causal_conv1d").causal_conv1d_fn
    y: Tensor = kernel(x.mT.contiguous(), weight, bias, activation="silu" if silu else None)
    return y.mT
