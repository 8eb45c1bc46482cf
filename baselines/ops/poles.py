"""Where the poles of diagonal models begin, and how continuous systems become discrete.

Gu, Gupta, Goel, Re 2022, "On the Parameterization and Initialization of Diagonal State Space
Models", sections 3 and 4; the names that it does not use are of state-spaces/s4.

Axes: d channels, n modes.
"""

import math
from typing import Literal

import torch
from jaxtyping import Complex128, Float64
from torch import Tensor

from baselines.ops.hippo import legs

Init = Literal["legs", "inv", "lin", "real", "fout", "inv2", "quad", "random"]
Disc = Literal["zoh", "bilinear"]


def initial_poles(
    init: Init, states: int
) -> tuple[Complex128[Tensor, " n"], Float64[Tensor, " n"]]:
    """Return A and B of N states, half of each conjugate pair; random frequencies are drawn.

    Real parts are -1/2, those of `real` -(n + 1). Frequencies: `legs` the eigenvalues of
    HiPPO-LegS, `inv` their closed form N/pi (N/(2n+1) - 1), `inv2` N/pi (N/(n+1) - 1), `lin` pi n,
    `fout` 2 pi n, `quad` (1+2n)^2/pi, `random` exp(N(0, 1)), `real` none.
    """
    if init == "legs":
        return legs(states)
    n = torch.arange(states // 2, dtype=torch.float64)
    frequency = {
        "inv": states / math.pi * (states / (2 * n + 1) - 1),
        "inv2": states / math.pi * (states / (n + 1) - 1),
        "lin": math.pi * n,
        "fout": 2 * math.pi * n,
        "quad": (1 + 2 * n).square() / math.pi,
        "real": torch.zeros_like(n),
    }
    chosen = torch.randn(len(n)).double().exp() if init == "random" else frequency[init]
    decay = -(n + 1) if init == "real" else torch.full_like(n, -0.5)
    return torch.complex(decay, chosen), torch.ones_like(n)


def circle(states: int, channels: int) -> Float64[Tensor, "d n"]:
    """Return the phases of poles that cover the upper half circle evenly, all channels together.

    2 pi n / N for n from 0 to N/2, shifted by 2 pi h / (N H) in channel h.
    """
    n = torch.arange(states // 2 + 1, dtype=torch.float64)
    shift = torch.arange(channels, dtype=torch.float64)[:, None] / channels
    return 2 * math.pi / states * (n + shift)


def discretise(
    A: Complex128[Tensor, "... n"], dt: Float64[Tensor, "*axes _"], disc: Disc
) -> tuple[Complex128[Tensor, "*axes n"], Complex128[Tensor, "*axes n"]]:
    """Return the poles of a diagonal system for steps of size dt, and the factors on its B."""
    if disc == "zoh":
        # Not exp - 1, of which a short step or a slow mode would leave few digits.
        return (dt * A).exp(), torch.expm1(dt * A) / A
    half = dt * A / 2
    return (1 + half) / (1 - half), dt / (1 - half)
