"""DLR's layer is the sum of its paper, in every form and with every kernel."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from baselines.dlr import DLR
from baselines.ops.convolution.fft_convolution import direct_convolve
from baselines.ops.layers.diagonal_layer import DiagonalLayer
from harness.api import UnsupportedError
from harness.core.seeding import scope, stream

COMPLEX = ("complex", "phase", "phase-real")
DLRS = [
    *(DLR(state=5, form=f, kernel=k) for f, k in product(COMPLEX, ("real", "imag", "sum"))),
    DLR(state=5, form="decay-real"),
    DLR(state=5, init="randn"),
]
PRODUCTS = [DLR(state=5, form=f, kernel=k) for k, f in product(("prod", "real-prod"), COMPLEX)]


def layer(recipe: DLR, *, causal: bool = True) -> DiagonalLayer:
    """Build a float64 layer of width 3."""
    with scope("layer"):
        return recipe.build(width=3, length=10, causal=causal).double()


def features(length: int) -> Tensor:
    """Draw (2, length, 3) features."""
    return torch.randn(2, length, 3, generator=stream("features", length), dtype=torch.float64)


@pytest.mark.parametrize("recipe", [*DLRS, *PRODUCTS], ids=str)
def test_dlr_equals_the_papers_sum_in_every_form_with_every_kernel(recipe: DLR) -> None:
    mixer, u = layer(recipe), features(11)
    none = torch.zeros(5, dtype=torch.float64)
    decay = none if mixer.r is None else mixer.r.square()
    lam = torch.complex(-decay, none if mixer.theta is None else mixer.theta)
    W = mixer.W if recipe.form.endswith("real") else torch.view_as_complex(mixer.W)
    Kc = W[:, 0] + 0j
    Kc = Kc @ torch.exp(lam[:, None] * torch.arange(11))
    both = Kc.real * Kc.imag
    K = {
        "real": Kc.real,
        "imag": Kc.imag,
        "sum": Kc.real + Kc.imag,
        "prod": both,
        "real-prod": torch.cat([Kc.real[:1], both[1:]]),
    }[recipe.kernel]
    torch.testing.assert_close(mixer(u), direct_convolve(u, K[:, None], mixer.D))


@pytest.mark.parametrize("causal", [True, False])
def test_the_product_kernels_multiply_the_two_parts(causal: bool) -> None:
    whole, half, real, imag = (
        layer(DLR(state=5, kernel=kernel), causal=causal).kernel(9)
        for kernel in ("prod", "real-prod", "real", "imag")
    )
    torch.testing.assert_close(whole, real * imag)
    torch.testing.assert_close(half, torch.cat([real[:1], (real * imag)[1:]]))


def test_roots_of_unity_hold_dlrs_one_hot_kernel() -> None:
    mixer = DLR(state=32).build(width=3, length=32, causal=True).double()
    with torch.no_grad():
        mixer.r.zero_()
        mixer.theta.copy_(2 * math.pi / 32 * torch.arange(32).double())
        lags = torch.tensor([0, 7, 31])
        turns = -2 * math.pi / 32 * torch.outer(lags, torch.arange(32)).double()
        mixer.W.copy_(
            torch.view_as_real(torch.polar(torch.full_like(turns, 1 / 32), turns))[:, None]
        )
    torch.testing.assert_close(mixer.kernel(32)[:, 0], torch.eye(32, dtype=torch.float64)[lags])


def test_dlr_knows_no_step_size() -> None:
    with pytest.raises(UnsupportedError, match="follows no other sampling rate"):
        layer(DLRS[0]).resample(2.0)
