"""Gated linear attention by `matrix_scan`, with the arguments of `baselines.ops.scans.gla`."""

from torch import Tensor

from baselines.ops.kernels.matrix_scan import matrix_scan


def gla(q: Tensor, k: Tensor, v: Tensor, f: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs and the last state; key features have the gates."""
    return matrix_scan(q, k, v, state, f)
