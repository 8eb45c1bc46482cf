"""What stands around the scan of attention by features on a GPU equals torch, interpreted."""

import pytest
import torch
from torch import Tensor

from baselines.ops.attention.kernel_attention import torch_ratio
from baselines.ops.attention.random_features import torch_random_features
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

features = kernels("random_features")
quotients = kernels("divided")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs be so small that several are cheap."""
    for module in (features, quotients):
        monkeypatch.setattr(module, "NUMBERS", 16)


def drawn(*shape: int) -> Tensor:
    rng = stream("around attention", *shape)
    return torch.randn(shape, generator=rng, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize(("size", "count"), [(1, 1), (3, 5), (6, 4)])
def test_random_features_are_alike(size: int, count: int, keys: bool) -> None:
    # Heads between others, as they are projected; some are so large that only differences fit.
    both, directions = drawn(2, 3, 4, size), drawn(count, size).detach()
    with torch.no_grad():
        both[0, 0] *= 1e3

    def of(form):
        return lambda both: form(both[:, :, 1:3], directions, keys=keys)

    agree(of(features.random_features), of(torch_random_features), [both])


@pytest.mark.parametrize("width", [2, 4, 7])
def test_quotients_are_alike_and_zero_where_no_weight_is(width: int) -> None:
    sums = drawn(2, 5, 3, width)
    with torch.no_grad():
        sums[..., -1].abs_()
        sums[1, 2:] = 0
    agree(lambda x: (quotients.divided(x),), lambda x: (torch_ratio(x),), [sums])
