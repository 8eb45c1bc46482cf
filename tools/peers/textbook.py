"""Layers as their papers write them down, in plain torch: peers where no package is to be had.

They hold the parameters of our layers and give what ours give, by tensors over all modes and all
positions or frequencies at once, in the working precision.

Axes: b batch, l length, d channels, n modes, w frequencies.
"""

from typing import Any

import torch
from torch import Tensor, nn


class TextbookS4D(nn.Module):
    """S4D with the two-line kernel, a (d, n, l) tensor, and a convolution by FFT."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, u: Tensor) -> Tensor:
        """Map (b, l, d) features."""
        weight, pole = self.layer.system()
        powers = (pole.log().to(weight.dtype)[..., None] * torch.arange(u.shape[1])).exp()
        taps = torch.einsum("dn,dnl->dl", weight[:, 0], powers).real
        return convolution(u, taps, self.layer.D)


class CauchyS4(nn.Module):
    """S4 with Cauchy sums over conjugate pairs at the roots of unity (arXiv 2111.00396, C.3).

    As in the paper, what is trained is C (I - Abar^L), so a step takes no power of a matrix.
    """

    def __init__(self, layer: Any, length: int) -> None:
        super().__init__()
        self.layer = layer
        count = torch.arange(length // 2 + 1, dtype=torch.float64)
        root = torch.polar(torch.ones_like(count), -2 * torch.pi / length * count)
        C = torch.view_as_complex(layer.C.detach()[:, 0])
        self.root = root.to(C.dtype)
        pole, P, _, dt = (x[..., None].to(torch.complex128) for x in self.continuous())
        A, rank_one = torch.cat([pole, pole.conj()], 1), torch.cat([P, P.conj()], 1)
        half = dt.mT / 2 * (torch.diag_embed(A[..., 0]) - rank_one @ rank_one.mH)
        one = torch.eye(A.shape[1]).to(half)
        power = torch.linalg.matrix_power(torch.linalg.solve(one - half, one + half), length)
        full = torch.cat([C, C.conj()], -1).to(power.dtype)
        cut = (full - (full[:, None] @ power)[:, 0])[:, : C.shape[-1]].to(C.dtype)
        self.cut = nn.Parameter(torch.view_as_real(cut.detach()).clone())
        layer.C.requires_grad_(False)

    def continuous(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return poles, P and B as (d, n), and step sizes as (d, 1)."""
        layer = self.layer
        pole = torch.complex(-layer.A_re.exp(), layer.A_im)
        P, B = (torch.view_as_complex(part) for part in (layer.P[:, 0], layer.B))
        return pole, P, B, layer.log_dt.exp()[:, None]

    def forward(self, u: Tensor) -> Tensor:
        """Map (b, l, d) features, l as built for."""
        pole, P, B, dt = self.continuous()
        cut = torch.view_as_complex(self.cut)
        turn, step = 1 + self.root, dt[..., None]
        p, q = 2 * (1 - self.root), step * turn
        even, odd = pole.real[..., None], pole.abs().square()[..., None]
        inverse = step / (p * p - 2 * even * p * q + odd * q * q)

        def sums(pairs: Tensor) -> Tensor:
            plain, turned = pairs.real[..., None], (pairs * pole.conj()).real[..., None]
            return (2 * (plain * p - turned * q) * inverse).sum(1)

        low_rank = turn * sums(cut * P) * sums(P.conj() * B) / (1 + turn * sums(P.conj() * P))
        taps = torch.fft.irfft(2 * (sums(cut * B) - low_rank), n=u.shape[1])
        return convolution(u, taps, self.layer.D)


def convolution(u: Tensor, taps: Tensor, skip: Tensor) -> Tensor:
    """Convolve (b, l, d) features causally with (d, l) taps by torch's FFT and its gradient."""
    size = 2 * u.shape[1]
    spectrum = torch.fft.rfft(u.mT, size) * torch.fft.rfft(taps, size)
    y: Tensor = torch.fft.irfft(spectrum, size)[..., : u.shape[1]].mT
    return y + skip * u
