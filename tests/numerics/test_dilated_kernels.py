"""A level of dilated convolutions by kernels equals torch, in Triton's interpreter."""

import pytest
import torch

from baselines.ops.convolution.dilated import torch_dilated_level
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

level = kernels("dilated_level")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs be so small that several are cheap."""
    monkeypatch.setattr(level, "NUMBERS", 16)


def drawn(taps: int, length: int) -> list[torch.Tensor]:
    rng = stream("dilated", taps, length)
    shapes = (2, length, 3), (3, 3 * taps), (3,)
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return [leaf.requires_grad_() for leaf in leaves]


@pytest.mark.parametrize(("taps", "dilation", "before"), [(2, 1, 1), (3, 4, 8), (3, 2, 2)])
@pytest.mark.parametrize("length", [1, 11])
def test_levels_are_alike(taps: int, dilation: int, before: int, length: int) -> None:
    def of(form):
        return lambda *given: (form(*given, dilation, before),)

    agree(of(level.dilated_level), of(torch_dilated_level), drawn(taps, length))


def test_what_is_mapped_in_half_precision_has_gradients_of_its_arguments() -> None:
    given = [leaf.detach().bfloat16() for leaf in drawn(3, 7)]
    found = []
    for form in (level.dilated_level, torch_dilated_level):
        mine = [each.clone().requires_grad_() for each in given]
        y = form(*mine, 2, 4)
        y.float().square().sum().backward()
        found.append([y, *(each.grad for each in mine)])
    torch.testing.assert_close(*found, rtol=5e-2, atol=0.3)
