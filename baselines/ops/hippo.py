"""HiPPO-LegS in its diagonal form (Gu et al. 2020; Gu et al. 2022, `S4D`).

A = -1/2 I + S - P P^T with S skew-symmetric, A_nk = -sqrt(2n+1) sqrt(2k+1) below the diagonal and
-(n+1) on it, B_n = sqrt(2n+1), P = B / sqrt(2). Axis: n modes.
"""

import torch
from jaxtyping import Complex128, Float64
from torch import Tensor


def legs(states: int) -> tuple[Complex128[Tensor, " n"], Float64[Tensor, " n"]]:
    """Diagonalise the normal part -1/2 I + S.

    Args:
        states: N, even.

    Returns:
        Its N/2 eigenvalues of positive imaginary part, in ascending order, and the input vector B
        in the basis of their eigenvectors. An eigenvector's phase is free; it is chosen such that B
        is positive, so the result is the same with every LAPACK.
    """
    root = (2 * torch.arange(states, dtype=torch.float64) + 1).sqrt()
    lower = torch.outer(root, root).tril(-1) / -2
    # A general eigensolver loses most digits here; -i S is Hermitian.
    frequency, basis = torch.linalg.eigh(-1j * (lower - lower.mT))
    pole = torch.complex(torch.full_like(frequency, -0.5), frequency)
    drive = (basis.mH @ root.to(basis.dtype)).abs()
    return pole[states // 2 :], drive[states // 2 :]
