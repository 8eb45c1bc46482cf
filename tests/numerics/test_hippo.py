"""The HiPPO systems: what the papers say of them, and their diagonal forms."""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from baselines.ops.ssm import hippo
from baselines.ops.ssm.hippo import legs
from baselines.s4d import initial_poles

BASES = get_args(hippo.Basis)
every_basis = pytest.mark.parametrize("basis", BASES)


def dense_legs(states: int) -> tuple[Tensor, Tensor]:
    """Write A and B of HiPPO-LegS entry by entry."""
    A = torch.zeros(states, states, dtype=torch.float64)
    for n in range(states):
        for k in range(n):
            A[n, k] = -math.sqrt((2 * n + 1) * (2 * k + 1))
        A[n, n] = -(n + 1)
    return A, torch.tensor([math.sqrt(2 * n + 1) for n in range(states)], dtype=torch.float64)


def weighting(basis: str, order: int, time: Tensor) -> Tensor:
    """Evaluate the function of age that a state weighs its past with."""
    if basis == "legt":
        return math.sqrt(2 * order + 1) / 2 * torch.special.legendre_polynomial_p(1 - time, order)
    if basis == "lagt":
        return (-time / 2).exp() * torch.special.laguerre_polynomial_l(time, order)
    wave = torch.cos if order % 2 == 0 else torch.sin
    scale = 1 if order == 0 else math.sqrt(2)
    return scale / 2 * wave(math.pi * (order // 2) * time)


def test_legs_is_the_papers_matrix() -> None:
    A, B = dense_legs(16)
    ours = hippo.dense("legs", 16)
    torch.testing.assert_close((ours.A, ours.B), (A, B))


@every_basis
@pytest.mark.parametrize("states", [2, 8, 64])
def test_the_correction_makes_the_matrix_normal(basis: hippo.Basis, states: int) -> None:
    A, _, P = hippo.dense(basis, states)
    assert P.shape == (2 if basis == "legt" else 1, states)
    normal = A + P.mT @ P
    torch.testing.assert_close(normal @ normal.mT, normal.mT @ normal)
    middle = normal.diagonal().mean() * torch.eye(states)
    torch.testing.assert_close(normal - middle, -(normal - middle).mT)


@every_basis
@pytest.mark.parametrize("states", [2, 8, 64])
def test_the_eigenvectors_of_the_normal_part_bring_the_matrix_back(
    basis: hippo.Basis, states: int
) -> None:
    A, B, P = hippo.dense(basis, states)
    pole, drive, correction = hippo.diagonal(basis, states)
    vectors = torch.zeros(states, states // 2, dtype=torch.complex128)
    if basis == "fout":
        for k in range(states // 2):
            vectors[2 * k, k], vectors[2 * k + 1, k] = 0.5**0.5, -0.5j * 2**0.5
    else:
        for n, value in enumerate(pole):
            found = torch.linalg.svd(A + P.mT @ P - value * torch.eye(states))[2][-1].conj()
            vectors[:, n] = found * (found.conj() @ B.to(found.dtype)).sgn()
    both = torch.cat([vectors, vectors.conj()], -1)
    low_rank = torch.cat([correction, correction.conj()], -1)
    middle = torch.diag(torch.cat([pole, pole.conj()])) - low_rank.mT @ low_rank.conj()
    torch.testing.assert_close(both @ middle @ both.mH, A.to(both.dtype))
    torch.testing.assert_close(both @ torch.cat([drive, drive]).to(both.dtype), B.to(both.dtype))


@pytest.mark.parametrize("basis", ["legs", "legt", "lagt"])
def test_b_is_clipped_in_the_eigenvectors_that_lapack_returns(basis: hippo.Basis) -> None:
    A, B, P = hippo.dense(basis, 64)
    vectors = torch.linalg.eigh(-1j * (A + P.mT @ P))[1][:, 32:]
    drive = vectors.mH @ B.to(vectors.dtype)
    clipped = torch.complex(drive.real, drive.imag.clamp(-0.5, 0.5))
    correction = P.to(vectors.dtype) @ vectors.conj()

    _, ours, low_rank = hippo.diagonal(basis, 64, b_clip=0.5)
    # Phases of a mode are free; how B stands to its own correction is not.
    torch.testing.assert_close(ours.abs(), clipped.abs())
    torch.testing.assert_close(ours * low_rank.conj(), clipped * correction.conj())
    assert (drive.imag.abs() > 0.5).any()


@pytest.mark.parametrize("basis", ["legt", "lagt", "fout"])
def test_a_state_weighs_an_impulse_by_its_function_of_age(basis: hippo.Basis) -> None:
    A, B, _ = hippo.dense(basis, 64)
    time = torch.tensor([0.1, 0.3, 0.9], dtype=torch.float64)
    for order in range(3):
        response = torch.stack([(torch.linalg.matrix_exp(t * A) @ B)[order] for t in time])
        expected = weighting(basis, order, time)
        # LegT and FouT forget what leaves their window of length two by a series, here cut off.
        slack = 1e-7 if basis == "lagt" else 0.05
        torch.testing.assert_close(response, expected, atol=slack, rtol=0)


def test_the_spectrum_is_that_of_a_plus_its_rank_one_correction() -> None:
    A, B = dense_legs(16)
    eigenvalues = torch.linalg.eigvals(A + torch.outer(B, B) / 2)
    pole, _ = legs(16)
    both = torch.cat([pole.conj(), pole])
    torch.testing.assert_close(eigenvalues[eigenvalues.imag.argsort()], both[both.imag.argsort()])


def test_the_eigenvalues_of_legs_count_down() -> None:
    found = torch.linalg.eigvals(hippo.dense("legs", 8).A).real.sort()[0]
    torch.testing.assert_close(found, -torch.arange(8, 0, -1, dtype=torch.float64))


def test_the_diagonal_system_has_the_dense_normal_systems_response() -> None:
    A, B = dense_legs(16)
    normal = A + torch.outer(B, B) / 2
    pole, drive = legs(16)
    for time in (0.01, 0.1, 1.0):
        dense = B @ torch.linalg.matrix_exp(time * normal) @ B
        torch.testing.assert_close(2 * (drive**2 * (time * pole).exp()).real.sum(), dense)


def test_frequencies_are_the_published_ones_at_64_states() -> None:
    pole, _ = legs(64)
    published = torch.tensor([0.264, 1303.3, 433.0, 258.2, 182.6, 140.2, 112.9])
    ours = torch.cat([pole.imag[:1], pole.imag.flip(0)[:6]]).float()
    torch.testing.assert_close(ours, published, rtol=1e-3, atol=0)
    torch.testing.assert_close(pole.real, torch.full_like(pole.real, -0.5))


@every_basis
def test_frequencies_ascend_from_zero_and_b_is_positive(basis: hippo.Basis) -> None:
    pole, drive, _ = hippo.diagonal(basis, 32)
    assert pole.imag[0] >= 0
    assert (pole.imag.diff() > 0).all()
    assert (drive > 0).all()


def test_the_closed_form_inv_approximates_legs() -> None:
    for states in (64, 256):
        exact = legs(states)[0].imag
        inv, lin = (initial_poles(init, states)[0].imag.sort()[0] for init in ("inv", "lin"))
        inv_off, lin_off = ((other[1:] / exact[1:]).log().abs().mean() for other in (inv, lin))
        assert abs(inv.max() / exact.max() - 1) < 0.02
        assert inv_off < 0.25
        assert inv_off < lin_off / 3
