"""Systems that are diagonal plus low rank: Krylov blocks, Cauchy sums and dense powers agree."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.ssm import dplr, hippo, krylov
from harness.core.seeding import stream

CHANNELS, READINGS, MODES = 3, 2, 4
ranks = st.integers(1, 3)
lengths = st.integers(1, 150)


def drawn(rank: int, seed: int = 0) -> tuple[dplr.Continuous, Tensor, Tensor]:
    """Draw a stable system, what is read of it, and step sizes."""
    rng = stream(seed, "system")

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.complex128)

    pole = torch.complex(-normal(CHANNELS, MODES).abs(), 5 * normal(CHANNELS, MODES).real)
    system = dplr.Continuous(pole, normal(CHANNELS, rank, MODES), normal(CHANNELS, MODES))
    dt = torch.rand(CHANNELS, 1, generator=rng, dtype=torch.float64) / 5
    return system, normal(CHANNELS, READINGS, MODES), dt


def blocks(
    system: dplr.Continuous, C: Tensor, dt: Tensor, length: int, form: object = krylov.kernel
) -> Tensor:
    """Compute a kernel of dense blocks."""
    return form(*dplr.dense(dplr.bilinear(system, dt)), dplr.reading(C), length)


def bilinear(A: Tensor, B: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
    """Discretise a dense system as the rule is written."""
    half = dt[..., None] / 2 * A
    one = torch.eye(A.shape[-1], dtype=A.dtype)
    inverse = torch.linalg.inv(one - half)
    return inverse @ (one + half), (inverse @ (dt * B)[..., None]).squeeze(-1)


@given(rank=ranks, seed=st.integers(0, 99))
def test_a_step_is_the_bilinear_rule_over_all_conjugate_states(rank: int, seed: int) -> None:
    system, _, dt = drawn(rank, seed)
    pole, P, B = (torch.cat([part, part.conj()], -1) for part in system)
    A, B = bilinear(torch.diag_embed(pole) - P.mT @ P.conj(), B, dt)
    discrete = dplr.bilinear(system, dt)
    state = torch.randn(2, CHANNELS, MODES, generator=stream(seed), dtype=torch.complex128)
    both = torch.cat([state, state.conj()], -1)
    moved = (A @ both[..., None]).squeeze(-1)
    torch.testing.assert_close(dplr.transition(discrete, state), moved[..., :MODES])
    torch.testing.assert_close(moved[..., MODES:], moved[..., :MODES].conj())
    torch.testing.assert_close(discrete.drive, B[:, :MODES])


@given(rank=ranks, length=lengths, seed=st.integers(0, 99))
def test_krylov_blocks_cauchy_sums_and_dense_powers_make_one_kernel(
    rank: int, length: int, seed: int
) -> None:
    drawing = drawn(rank, seed)
    taps = blocks(*drawing, length)
    assert taps.shape == (CHANNELS, READINGS, length)
    torch.testing.assert_close(taps, blocks(*drawing, length, krylov.naive_kernel))
    torch.testing.assert_close(taps, dplr.cauchy_kernel(*drawing, length))


@given(rank=ranks, length=st.integers(1, 40))
def test_krylov_blocks_cauchy_sums_and_dense_powers_have_one_gradient(
    rank: int, length: int
) -> None:
    system, C, dt = drawn(rank)
    leaves = [leaf.requires_grad_() for leaf in (*system, C, dt)]
    shape = CHANNELS, READINGS, length
    direction = torch.randn(shape, generator=stream("direction"), dtype=torch.float64)

    def gradients(taps: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((taps * direction).sum(), leaves)

    system = dplr.Continuous(*leaves[:3])
    found = gradients(blocks(system, C, dt, length))
    torch.testing.assert_close(found, gradients(blocks(system, C, dt, length, krylov.naive_kernel)))
    torch.testing.assert_close(found, gradients(dplr.cauchy_kernel(system, C, dt, length)))


@pytest.mark.parametrize("basis", ["legs", "legt", "fout", "lagt"])
def test_the_kernel_is_the_one_of_the_dense_hippo_system(basis: hippo.Basis) -> None:
    A, B, _ = hippo.dense(basis, 16)
    pole, drive, P = hippo.diagonal(basis, 16)
    system = dplr.Continuous(pole[None], P[None], drive[None].to(P.dtype))
    dt = torch.full((1, 1), 0.05, dtype=torch.float64)
    Abar, Bbar = bilinear(A, B, dt)
    # B is read too, since it is known in both coordinates.
    dense = krylov.naive_kernel(Abar, Bbar, B[None, None], 65)
    torch.testing.assert_close(blocks(system, system.B[:, None].conj(), dt, 65), dense)


def test_without_its_correction_legs_with_half_of_b_tends_to_legs() -> None:
    dt, errors = torch.full((1, 1), 0.01, dtype=torch.float64), []
    for states in (16, 64, 256):
        A, B, P = hippo.dense("legs", states)
        first = torch.eye(4, states, dtype=torch.float64)[None]
        exact = krylov.naive_kernel(*bilinear(A, B, dt), first, 300)
        halved = krylov.naive_kernel(*bilinear(A + P.mT @ P, B / 2, dt), first, 300)
        errors.append(((exact - halved).norm() / exact.norm()).item())
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < errors[0] / 3


@given(length=lengths, batch=st.integers(1, 3))
def test_advancing_equals_walking(length: int, batch: int) -> None:
    system, C, dt = drawn(2)
    rng = stream("advance", length)
    u = torch.randn(batch, length, CHANNELS, generator=rng, dtype=torch.float64)
    state = torch.randn(batch, CHANNELS, 2 * MODES, generator=rng, dtype=torch.float64)
    given = *dplr.dense(dplr.bilinear(system, dt)), dplr.reading(C)[:, 0], u, state
    torch.testing.assert_close(krylov.advance(*given), krylov.naive_advance(*given))


@given(length=st.integers(1, 40))
def test_advancing_has_the_gradients_of_walking(length: int) -> None:
    system, C, dt = drawn(1)
    rng = stream("gradients", length)
    u = torch.randn(2, length, CHANNELS, generator=rng, dtype=torch.float64)
    state = torch.randn(2, CHANNELS, 2 * MODES, generator=rng, dtype=torch.float64)
    dense = dplr.dense(dplr.bilinear(system, dt))
    leaves = [leaf.requires_grad_() for leaf in (*dense, dplr.reading(C)[:, 0], u, state)]
    found, expected = (
        torch.autograd.grad(y.sin().sum() + last.square().sum(), leaves)
        for y, last in (form(*leaves) for form in (krylov.advance, krylov.naive_advance))
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("chunk", "piece"), [(1, 1), (4, 8), (8, 64), (32, 32)])
def test_chunks_and_pieces_of_every_size_give_the_same(
    monkeypatch: pytest.MonkeyPatch, chunk: int, piece: int
) -> None:
    monkeypatch.setattr(krylov, "CHUNK", chunk)
    monkeypatch.setattr(krylov, "SEGMENT", piece)
    test_advancing_equals_walking.hypothesis.inner_test(117, 2)


@pytest.mark.parametrize("step", [1e-5, 1e-3])
def test_float32_keeps_four_digits_of_the_kernel_at_262144_steps(step: float) -> None:
    for basis in ("legs", "fout"):
        pole, drive, P = (part[None] for part in hippo.diagonal(basis, 16))
        system = dplr.Continuous(pole, P, drive.to(P.dtype))
        dt = torch.full((1, 1), step, dtype=torch.float64)
        C = torch.randn(1, 1, 8, generator=stream("long"), dtype=torch.complex128)
        double = blocks(system, C, dt, 262_144)
        single = blocks(system, C.to(torch.complex64), dt, 262_144)
        assert single.dtype == torch.float32
        assert (single - double).norm() / double.norm() < 1e-4
        last = slice(-4096, None)
        if step < 1e-4:  # a longer step's kernel has faded by then
            assert (single - double)[..., last].norm() / double[..., last].norm() < 1e-4


def test_float32_keeps_four_digits_of_what_it_carries_over_262144_steps() -> None:
    pole, drive, P = (part[None] for part in hippo.diagonal("legs", 16))
    system = dplr.Continuous(pole, P, drive.to(P.dtype))
    A, B = dplr.dense(dplr.bilinear(system, torch.full((1, 1), 1e-5, dtype=torch.float64)))
    rng = stream("long")
    u = torch.randn(1, 262_144, 1, generator=rng, dtype=torch.float64)
    C = torch.randn(1, 16, generator=rng, dtype=torch.float64)
    start = torch.zeros(1, 1, 16, dtype=torch.float64)
    double = krylov.advance(A, B, C, u, start)
    single = krylov.advance(A, B, C.float(), u.float(), start.float())
    for short, long in zip(single, double, strict=True):
        assert short.dtype == torch.float32
        assert (short - long).norm() / long.norm() < 1e-4
