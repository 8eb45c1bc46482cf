"""The poles of DSS and what its weights are multiplied by: the powers of a pole over their sum.

Gupta, Gu, Berant 2022, "Diagonal State Spaces are as Effective as Structured State Spaces", section
3 and appendix A.2: sum_l z^l / lambda over a span of L taps is (z^L - 1) / (lambda (z - 1)), whose
reciprocal is kept finite. A mode that grows is that of its taps from last to first.

Two forms: a kernel in Triton, and torch.

Axes: d channels, n modes.
"""

import torch
from jaxtyping import Complex128, Float, Float64
from torch import Tensor

from baselines.ops.forms import Form, chosen, triton

SMALL = 1e-7
"""Squared size from which a reciprocal is kept finite, as in the authors' code."""


def softmax_scales(
    decay: Float[Tensor, " n"],
    frequency: Float[Tensor, " n"],
    dt: Float64[Tensor, "d 1"],
    span: int,
) -> tuple[Complex128[Tensor, "d 2 n"], Complex128[Tensor, "d n"]]:
    """Return factors on weights, and poles, none of which grows.

    Args:
        decay: Real parts of lambda, which may be positive.
        frequency: Its imaginary parts.
        dt: Step sizes.
        span: Taps that are summed.

    Returns:
        Factors on the modes that decay, zero for the others, then the other way round; and the
        poles of the taps, of growing modes from last to first.
    """
    found: tuple[Tensor, Tensor] = chosen(FORMS, dt).run(decay, frequency, dt, span)
    return found


def torch_softmax_scales(
    decay: Float[Tensor, " n"],
    frequency: Float[Tensor, " n"],
    dt: Float64[Tensor, "d 1"],
    span: int,
) -> tuple[Complex128[Tensor, "d 2 n"], Complex128[Tensor, "d n"]]:
    """Return the same, an operator of torch after the other."""
    A, growing = torch.complex(decay.double(), frequency.double()), decay > 0
    turn = torch.where(growing, -1.0, 1.0) * dt * A
    # Not exp - 1, of which a short step or a slow mode would leave few digits.
    total = A * torch.expm1(span * turn)
    scale = torch.expm1(turn) * total.conj() / (total.abs().square() + SMALL)
    both = torch.stack([scale.masked_fill(growing, 0), scale.masked_fill(~growing, 0)], 1)
    return both, turn.exp()


FORMS = triton("softmax_scales"), Form("torch", torch_softmax_scales)
