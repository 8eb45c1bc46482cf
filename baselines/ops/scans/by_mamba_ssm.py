"""Scans by the kernels of Mamba's authors, package `mamba_ssm`.

Read from mamba_ssm 2.3.2. Axes: b batch, l length, d channels, n states; g groups, h heads, p
features of a head.
"""

from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.ops.kernels.installed import runs
from baselines.ops.kernels.launch import may_round, of_products

CHUNK = 256
"""Positions of a chunk of Mamba-2, as its authors' layer has them."""


def fits_scan(x: Tensor, *, plain: bool) -> bool:
    """Say whether it is asked for and can run: in float32 and less, from zero, without a gain."""
    return plain and x.is_cuda and x.dtype != torch.float64 and runs("mamba_ssm")


def selective_scan(
    x: Float[Tensor, "b l d"], system: Any, _: Tensor
) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b d n"]]:
    """Run `baselines.ops.scans.selective_scan` by Mamba's kernel, which wants time innermost."""
    s, kernel = system, import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
    x, dt, B, C = (part.mT.contiguous() for part in (x, s.dt, s.B, s.C))
    y, last = kernel(x, dt, s.A, B, C, s.D, return_last_state=True)
    return y.mT, last


def fits_duality(x: Tensor, **_: object) -> bool:
    """Say likewise of Mamba-2's kernels, which round products, as those of `fla` do."""
    return may_round(x) and fits_scan(x, plain=True)


def rated_ssd(
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    rates: Float[Tensor, " h"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
    state: Float[Tensor, "b h n p"],
) -> tuple[Float[Tensor, "b l h p"], Float[Tensor, "b h n p"]]:
    """Run `baselines.ops.scans.ssd.rated_ssd` by Mamba-2's kernels, which turn the state."""
    kernel = import_module("mamba_ssm.ops.triton.ssd_combined").mamba_chunk_scan_combined
    signals, B, C = (part.to(of_products(x)) for part in (x, B, C))
    start = state.float().mT.contiguous()
    given = {"initial_states": start, "return_final_states": True}
    y, last = kernel(signals, dt.float(), rates.float(), B, C, CHUNK, **given)
    return y.to(x.dtype), last.mT
