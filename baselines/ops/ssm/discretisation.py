"""From continuous to discrete time: the rules for diagonal systems, and how step sizes begin.

Axes: n modes.
"""

import math
from typing import Literal

import torch
from jaxtyping import Complex128, Float, Float64
from torch import Tensor

from baselines.ops.forms import Form, chosen, triton

Disc = Literal["zoh", "bilinear"]


def discretise(
    A: Complex128[Tensor, "... n"], dt: Float64[Tensor, "*axes _"], disc: Disc
) -> tuple[Complex128[Tensor, "*axes n"], Complex128[Tensor, "*axes n"]]:
    """Return the poles of a diagonal system for steps of size dt, and the factors on its B."""
    found: tuple[Tensor, Tensor] = chosen(FORMS, dt).run(A, dt, disc)
    return found


def torch_discretise(
    A: Complex128[Tensor, "... n"], dt: Float64[Tensor, "*axes _"], disc: Disc
) -> tuple[Complex128[Tensor, "*axes n"], Complex128[Tensor, "*axes n"]]:
    """Return the same, an operator of torch after the other."""
    if disc == "zoh":
        # Not exp - 1, of which a short step or a slow mode would leave few digits.
        return (dt * A).exp(), torch.expm1(dt * A) / A
    half = dt * A / 2
    return (1 + half) / (1 - half), dt / (1 - half)


FORMS = triton("discretise"), Form("torch", torch_discretise)


def log_uniform(low: float, high: float, count: int) -> Float[Tensor, " {count}"]:
    """Draw logarithms of numbers that are uniform in log between two bounds."""
    return math.log(low) + torch.rand(count) * (math.log(high) - math.log(low))


def inverse_softplus(dt: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return the x with log(1 + e^x) = dt."""
    return dt + torch.log(-torch.expm1(-dt))
