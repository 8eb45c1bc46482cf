"""The LegS spectrum: what the papers say of it."""

import math

import torch

from baselines.ops.hippo import legs
from baselines.s4d import initial_poles


def dense_legs(states: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Write A and B of HiPPO-LegS entry by entry."""
    A = torch.zeros(states, states, dtype=torch.float64)
    for n in range(states):
        for k in range(n):
            A[n, k] = -math.sqrt((2 * n + 1) * (2 * k + 1))
        A[n, n] = -(n + 1)
    return A, torch.tensor([math.sqrt(2 * n + 1) for n in range(states)], dtype=torch.float64)


def test_the_spectrum_is_that_of_a_plus_its_rank_one_correction() -> None:
    A, B = dense_legs(16)
    eigenvalues = torch.linalg.eigvals(A + torch.outer(B, B) / 2)
    pole, _ = legs(16)
    both = torch.cat([pole.conj(), pole])
    torch.testing.assert_close(eigenvalues[eigenvalues.imag.argsort()], both[both.imag.argsort()])


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


def test_the_closed_form_inv_approximates_legs() -> None:
    for states in (64, 256):
        exact = legs(states)[0].imag
        inv, lin = (initial_poles(init, states)[0].imag.sort()[0] for init in ("inv", "lin"))
        inv_off, lin_off = ((other[1:] / exact[1:]).log().abs().mean() for other in (inv, lin))
        assert abs(inv.max() / exact.max() - 1) < 0.02
        assert inv_off < 0.25
        assert inv_off < lin_off / 3
