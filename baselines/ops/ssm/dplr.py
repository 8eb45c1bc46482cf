"""Systems that are diagonal plus low rank, x' = (Lambda - P P*) x + B u, and their kernels.

Of every conjugate pair of states one is stored, so P* x is twice a real part, and so is the output
2 Re(C x). As a real vector, a state is the real and imaginary parts of its modes in turn.

Axes: d channels, n modes, r rank, s = 2n real states, k readings of one channel, l length.
"""

from typing import NamedTuple

import torch
from jaxtyping import Complex, Complex128, Float, Float64
from torch import Tensor

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.ssm import krylov

MOST_MODES = 32
"""Modes of the kernel in Triton, whose programs hold several matrices of all states."""


class Continuous(NamedTuple):
    """x' = (Lambda - P P*) x + B u."""

    pole: Complex128[Tensor, "d n"]
    P: Complex128[Tensor, "d r n"]
    B: Complex128[Tensor, "d n"]


class Discrete(NamedTuple):
    """x_l = pole x_{l-1} - left 2 Re(right x_{l-1}) + drive u_l."""

    pole: Complex[Tensor, "d n"]
    left: Complex[Tensor, "d r n"]
    right: Complex[Tensor, "d r n"]
    drive: Complex[Tensor, "d n"]


def bilinear(system: Continuous, dt: Float64[Tensor, "d 1"]) -> Discrete:
    """Discretise by the bilinear rule, (I - dt/2 A)^-1 (I + dt/2 A) = 2 (I - dt/2 A)^-1 - I.

    With R = (1 - dt/2 Lambda)^-1 Woodbury's identity gives (I - dt/2 A)^-1 = R - dt/2 R P W P* R,
    W = (I + dt/2 P* R P)^-1 of r rows: again diagonal plus low rank, and no matrix to invert
    (Gu et al. 2022, `S4`, appendix C.2, here for any rank).
    """
    pole, P, B = system
    resolvent = 1 / (1 - dt / 2 * pole)
    right = P.conj() * resolvent[:, None]
    gram = torch.eye(P.shape[1]).to(dt) + dt[..., None] * (right @ P.mT).real
    left = dt[..., None] * resolvent[:, None] * torch.linalg.solve(gram.mT.to(P.dtype), P)
    drive = resolvent * B
    drive = drive - (left * (right @ B[..., None]).real).sum(1)
    return Discrete(2 * resolvent - 1, left, right, dt * drive)


def transition(system: Discrete, state: Complex[Tensor, "*b d n"]) -> Complex[Tensor, "*b d n"]:
    """Return what becomes of a state in one step without input, in O(n r)."""
    coupling = 2 * (system.right * state[..., None, :]).sum(-1, keepdim=True).real
    return system.pole * state - (system.left * coupling).sum(-2)


def dense(system: Discrete) -> tuple[Float[Tensor, "d s s"], Float[Tensor, "d s"]]:
    """Return the real matrix and input vector: column i is what becomes of unit state i."""
    channels, modes = system.pole.shape
    units = to_modes(torch.eye(2 * modes).to(system.pole.real))
    columns = transition(system, units[:, None].expand(-1, channels, -1))
    return to_vector(columns).permute(1, 2, 0), to_vector(system.drive)


def to_vector(state: Complex[Tensor, "*b n"]) -> Float[Tensor, "*b s"]:
    """Return the real and imaginary parts in turn."""
    return torch.view_as_real(state).flatten(-2)


def to_modes(state: Float[Tensor, "*b s"]) -> Complex[Tensor, "*b n"]:
    """Return the modes of a real vector."""
    return torch.view_as_complex(state.unflatten(-1, (-1, 2)))


def reading(C: Complex[Tensor, "*b n"]) -> Float[Tensor, "*b s"]:
    """Return the real row vector whose product with a state's real vector is 2 Re(C x)."""
    return to_vector(2 * C.conj().resolve_conj())


def kernel(
    system: Continuous, C: Complex[Tensor, "d k n"], dt: Float64[Tensor, "d 1"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the first taps of the kernels, of which no (d, n, l) array is ever made.

    Args:
        system: In double precision, which long powers need.
        C: What is read, in the working precision, which is that of the taps.
        dt: Step sizes.
        length: l.
    """
    taps: Tensor = form_of(C).run(system, C, dt, length)
    return taps


def krylov_taps(
    system: Continuous, C: Complex[Tensor, "d k n"], dt: Float64[Tensor, "d 1"], length: int
) -> Float[Tensor, "d k l"]:
    """Make the taps in torch, by Krylov blocks of the dense matrix."""
    return krylov.kernel(*dense(bilinear(system, dt)), reading(C), length)


def form_of(C: Complex[Tensor, "*d n"]) -> Form:
    """Return the form that makes taps of such readings."""
    return chosen(FORMS, C, modes=C.shape[-1])


def _kernel_fits(C: Tensor, *, modes: int) -> bool:
    del C
    return modes <= MOST_MODES


FORMS = triton("dplr_taps", _kernel_fits), Form("krylov", krylov_taps)


def cauchy_kernel(
    system: Continuous, C: Complex[Tensor, "d k n"], dt: Float64[Tensor, "d 1"], length: int
) -> Float[Tensor, "d k l"]:
    """Return the kernels by Cauchy sums at the roots of unity, the twin of `kernel`.

    Gu et al. 2022, `S4`, appendix C.3, with C (I - Abar^L) made here and not trained. The paper's
    2 / (1 + w) is multiplied into the sums, which keeps them finite at w = -1; a pole that is on
    the imaginary axis may still meet a root.
    """
    pole, P, B, full_C = (torch.cat([x, x.conj()], -1) for x in (*system, C))
    cut = full_C - full_C @ _power(pole, P, dt, length).to(C.dtype)
    count = torch.arange(length // 2 + 1, device=dt.device, dtype=torch.float64)
    root = torch.polar(torch.ones_like(count), -2 * torch.pi / length * count)
    scale = dt[..., None]
    cauchy = (scale / (2 * (1 - root) - scale * pole[..., None] * (1 + root))).to(C.dtype)

    def sums(rows: Tensor, columns: Tensor) -> Tensor:
        products = rows[:, :, None] * columns[:, None]
        return torch.einsum("dijn,dnw->dwij", products.to(C.dtype), cauchy)

    turn = (1 + root)[:, None, None].to(C.dtype)
    inner = torch.eye(P.shape[1]).to(turn) + turn * sums(P.conj(), P)
    through = torch.linalg.solve(inner, sums(P.conj(), B[:, None]))
    spectrum = 2 * (sums(cut, B[:, None]) - turn * sums(cut, P) @ through)
    taps: Tensor = torch.fft.irfft(spectrum.squeeze(-1).permute(0, 2, 1), n=length)
    return taps


def _power(pole: Tensor, P: Tensor, dt: Tensor, exponent: int) -> Tensor:
    """Return Abar^exponent over all conjugate states, with Abar as it is defined."""
    half = dt[..., None] / 2 * (torch.diag_embed(pole) - P.mT @ P.conj())
    one = torch.eye(pole.shape[-1]).to(half)
    power: Tensor = torch.linalg.matrix_power(torch.linalg.solve(one - half, one + half), exponent)
    return power
