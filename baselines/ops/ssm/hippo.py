"""HiPPO matrices, and their normal parts in diagonal form (Gu et al. 2020; Gu et al. 2022).

x' = A x + B u keeps the coefficients of its input's past in a basis of functions. Each A becomes
normal when P P^T is added, with P of rank one or two (`S4`, Theorem 1; "How to Train Your HiPPO",
arXiv 2206.12037), so that A = V (Lambda - (V* P)(V* P)*) V* with V unitary.

Axes: n modes (N/2, one of each conjugate pair), s states (N), r rank of the correction.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Complex128, Float64
from torch import Tensor

Basis = Literal["legs", "legt", "fout", "lagt"]


class Dense(NamedTuple):
    """A system in the basis of its functions: A + P^T P is normal."""

    A: Float64[Tensor, "s s"]
    B: Float64[Tensor, " s"]
    P: Float64[Tensor, "r s"]


class Diagonal(NamedTuple):
    """Half of a system in the basis of its normal part's eigenvectors; the rest is conjugate."""

    pole: Complex128[Tensor, " n"]
    """Eigenvalues of the normal part, imaginary part ascending from zero."""
    B: Float64[Tensor, " n"] | Complex128[Tensor, " n"]
    """Positive; complex where its imaginary part was to be clipped."""
    P: Complex128[Tensor, "r n"]


def dense(basis: Basis, states: int) -> Dense:
    """Write down A, B and P of `basis` for N states."""
    system: Dense = BASES[basis](states)
    return system


def diagonal(basis: Basis, states: int, b_clip: float = 0.0) -> Diagonal:
    """Diagonalise the normal part of a basis.

    Args:
        basis: The functions.
        states: N, even.
        b_clip: Bound of the imaginary part of B as state-spaces/s4 has it, in eigenvectors that
            begin with a real number, as LAPACK's do; 0 for none. B of FouT is real there.
    """
    if basis == "fout":
        return _diagonal_fourier(states)
    _, B, P = dense(basis, states)
    pole, vectors = (part[..., states // 2 :] for part in eigenbasis(basis, states))
    drive = (vectors.mH @ B.to(vectors.dtype)).real
    if b_clip:
        phase = vectors[0].sgn()
        real, imaginary = torch.view_as_real(phase * drive).unbind(-1)
        drive = phase.conj() * torch.complex(real, imaginary.clamp(-b_clip, b_clip))
    return Diagonal(pole, drive, P.to(vectors.dtype) @ vectors.conj())


def eigenbasis(
    basis: Literal["legs", "legt", "lagt"], states: int
) -> tuple[Complex128[Tensor, " s"], Complex128[Tensor, "s s"]]:
    """Return the eigenvalues of the normal part, by imaginary part ascending, and eigenvectors.

    An eigenvector's phase is free; it is chosen such that B is positive in its direction, so the
    result is the same with every LAPACK.
    """
    A, B, P = dense(basis, states)
    normal = A + P.mT @ P
    # A general eigensolver loses most digits here; -i S of the skew-symmetric part is Hermitian.
    frequency, vectors = torch.linalg.eigh(-0.5j * (normal - normal.mT))
    pole = torch.complex(normal.diagonal().mean().expand(states), frequency)
    return pole, vectors * (vectors.mH @ B.to(vectors.dtype)).sgn()


def legs(
    states: int, b_clip: float = 0.0
) -> tuple[Complex128[Tensor, " n"], Float64[Tensor, " n"] | Complex128[Tensor, " n"]]:
    """Return eigenvalues and B of LegS without its correction, which is what S4D keeps of it.

    Args:
        states: N, even.
        b_clip: As of `diagonal`.
    """
    system = diagonal("legs", states, b_clip)
    return system.pole, system.B


def _legs(states: int) -> Dense:
    """Legendre polynomials of a past that is seen on a logarithmic scale."""
    order = torch.arange(states, dtype=torch.float64)
    root = (2 * order + 1).sqrt()
    A = -torch.outer(root, root).tril(-1) - torch.diag(order + 1)
    return Dense(A, root, root[None] / 2**0.5)


def _legt(states: int) -> Dense:
    """Legendre polynomials of a sliding window of length two; odd and even orders correct apart."""
    order = torch.arange(states, dtype=torch.float64)
    root = (2 * order + 1).sqrt()
    ahead = order > order[:, None]
    sign = torch.where(ahead, (-1.0) ** (order[:, None] - order), 1.0)
    odd = order % 2
    return Dense(
        -0.5 * torch.outer(root, root) * sign, root / 2, root * torch.stack([odd, 1 - odd]) / 2**0.5
    )


def _fout(states: int) -> Dense:
    """Fourier series of a sliding window of length two: rotations by pi k, minus B B^T."""
    B = torch.zeros(states, dtype=torch.float64)
    B[::2] = 2**0.5
    B[0] = 1
    frequency = torch.zeros(states - 1, dtype=torch.float64)
    frequency[::2] = torch.pi * torch.arange(states // 2, dtype=torch.float64)
    rotation = torch.diag(frequency, -1) - torch.diag(frequency, 1)
    return Dense(rotation - torch.outer(B, B), B, B[None])


def _diagonal_fourier(states: int) -> Diagonal:
    """Take the eigenvectors of each rotation, (e_2k - i e_2k+1) / sqrt 2, by their formula.

    The rotation of frequency zero has no eigenvectors of its own: a solver would return any two,
    and none of them the conjugate of the other.
    """
    frequency = torch.pi * torch.arange(states // 2, dtype=torch.float64)
    B = torch.ones_like(frequency)
    B[0] = 0.5**0.5
    return Diagonal(torch.complex(torch.zeros_like(B), frequency), B, B[None].to(torch.complex128))


def _lagt(states: int) -> Dense:
    """Laguerre functions: an exponentially fading past."""
    ones = torch.ones(states, states, dtype=torch.float64)
    return Dense(
        torch.eye(states, dtype=torch.float64) / 2 - ones.tril(), ones[0], ones[:1] / 2**0.5
    )


BASES: dict[Basis, Callable[[int], Dense]] = {
    "legs": _legs,
    "legt": _legt,
    "fout": _fout,
    "lagt": _lagt,
}
