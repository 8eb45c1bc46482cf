"""Mamba-3 of rank one between its projections: what drives the scan, the scan, what is read.

Before the scan are two launches with torch's sum of angles between them, behind it is one; each has
one for its gradient. Angles add up in double, and their gradients from the last position back.

Axes: b batch, l length, c all that is projected, h heads, p features of each, n state, k angles.
"""

from torch import Tensor

from baselines.ops.kernels.two_tap_drives import drives
from baselines.ops.kernels.two_tap_output import output
from baselines.ops.layers.two_tap_layer import Scanned, TwoTapState, Weights, outer
from baselines.ops.scans.ssd import ssd


def two_tap_layer(projected: Tensor, weights: Weights, state: TwoTapState) -> Scanned:
    """Return the gate, outputs and the last state; see `baselines.ops.layers.two_tap_layer`."""
    inner, _, *others = weights.parts
    z, x, rest = projected.split([inner, inner, sum(others)], -1)
    B, C, log_decay, weight, later, early, angle = drives(rest, weights, state.angle)
    x = x.unflatten(-1, (len(weights.D), -1)).to(B.dtype)
    first = outer(state.B, state.x * early[:, None, :, None])
    y, memory = ssd(x, weight, log_decay, B, C, state.memory + first)
    y = output(y, x, B, C, later, weights.D)
    last = TwoTapState(memory, B[:, -1:].clone(), x[:, -1:].clone(), angle)
    return z, y[:, :, None], last
