"""Recurrences over matrix states by the kernels of `flash-linear-attention`, package `fla`.

Its functions take (b, l, h, features) as ours do, decays as logarithms, and queries that they scale
themselves unless told how; what differs beside that each function here makes up for. They want
CUDA, where they are compiled and tuned at the first call of a shape. They keep 64 positions a chunk
and round factors of products, those of single precision to TF32, so they run only where torch may
round as well. Under autocast they are given what its products are given.

Read from fla-core 0.6.0. Axes: b batch, l length, p steps of a position, g groups, h heads, k key
features, v value features.
"""

from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.ops.kernels.installed import runs
from baselines.ops.kernels.launch import may_round, of_products

MOST_KEYS = 256
"""Key features of its delta rules."""

Scanned = tuple[Float[Tensor, "b l h v"], Float[Tensor, "b h k v"]]


def fits(x: Tensor, **_: object) -> bool:
    """Say whether it is asked for, and may round what it computes on a tensor."""
    return x.is_cuda and x.dtype != torch.float64 and may_round(x) and runs("fla")


def fits_rule(x: Tensor, *, shared: bool, one_gate: bool, steps: int, keys: int) -> bool:
    """Say likewise of the delta rule.

    Args:
        x: Of the device and precision.
        shared: Whether all features share a gate.
        one_gate: Whether one gate erases and writes, and features that decay alone take one step.
        steps: Of a position; there are no several in single precision.
        keys: Key features.
    """
    half = steps == 1 or of_products(x) != torch.float32
    return shared and one_gate and half and keys <= MOST_KEYS and fits(x)


def delta_rule(
    q: Float[Tensor, "b l h k"],
    k: Float[Tensor, "b l p h k"],
    v: Float[Tensor, "b l p h v"],
    gates: tuple[Tensor, Tensor, Tensor],
    state: Float[Tensor, "b h k v"],
) -> Scanned:
    """Run `baselines.ops.scans.delta_rule`, if one gate erases and writes.

    Their plain delta rule refuses single precision, so that of a state that never decays is their
    gated one with decays of one.
    """
    log_decay, beta, _ = gates
    steps, shared = k.shape[2], log_decay.shape[-1] == 1
    beta, log_decay = beta.squeeze(-1).flatten(1, 2), log_decay.squeeze(-1) if shared else log_decay
    k, v = k.flatten(1, 2), v.flatten(1, 2)
    operator, rest = "gated_delta_rule", dict[str, int]()
    if not shared:
        operator = "kda"
    elif steps > 1:
        operator, rest = "gated_delta_product", {"num_householder": steps}
    return _called(operator, (q, k, v), state, log_decay, beta=beta, **rest)


def gla(
    q: Float[Tensor, "b l h k"],
    k: Float[Tensor, "b l h k"],
    v: Float[Tensor, "b l h v"],
    f: Float[Tensor, "b l h k"],
    state: Float[Tensor, "b h k v"],
) -> Scanned:
    """Run `baselines.ops.scans.gla`; a gate of zero is a constant, the smallest number there is."""
    gates = f.float()
    log_decay = gates.clamp(min=torch.finfo(gates.dtype).tiny).log()
    return _called("gla", (q, k, v), state, log_decay)


def ssd(
    x: Float[Tensor, "b l h v"],
    dt: Float[Tensor, "b l h"],
    log_a: Float[Tensor, "b l h"],
    B: Float[Tensor, "b l g k"],
    C: Float[Tensor, "b l g k"],
    state: Float[Tensor, "b h k v"],
) -> Scanned:
    """Run `baselines.ops.scans.ssd`; every head gets keys and queries of its own."""
    repeats = x.shape[2] // B.shape[2]
    q, k = (part.repeat_interleave(repeats, 2) if repeats > 1 else part for part in (C, B))
    signals = q, k, x * dt[..., None]
    y, last = _called("simple_gla", signals, state, log_a)
    return y.to(x.dtype), last


def _called(
    operator: str, signals: tuple[Tensor, Tensor, Tensor], state: Tensor, g: Tensor, **rest: Any
) -> Scanned:
    """Call its function on queries, keys and values, of one precision, and decays in single."""
    call = getattr(import_module(f"fla.ops.{operator}"), f"chunk_{operator}")
    q, k, v = (part.to(of_products(signals[2])) for part in signals)
    options = {"scale": 1.0, "initial_state": state.float(), "output_final_state": True}
    y, last = call(q=q, k=k, v=v, g=g.float(), **rest, **options)
    return y.to(signals[2].dtype), last
