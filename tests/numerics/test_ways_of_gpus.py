"""A layer by all that it does on a GPU, its kernels interpreted, is the layer of a CPU."""

import sys

import pytest
import torch

from harness.core.seeding import scope, stream
from harness.plugins.loading import load_model
from tests.numerics.interpreted import kernels
from tools.cuda.proof import passed

kernels("launch")
LAYERS = [
    "dlr[state=4]",
    "dss[state=4]",
    "gated-deltanet",
    "gated-ssm",
    "hawk[blocks=2]",
    "kda",
    "lru[state=4]",
    "mamba[state=2]",
    "rwkv7[head_dim=3]",
    "s4[state=4]",
    "s4d[state=4]",
    "s5[state=8,blocks=2]",
]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_the_same_and_has_the_same_gradients(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scope(0, "ways"):
        layer = load_model(name).build(width=6, length=9, causal=True).double()
    u = torch.randn(2, 9, 6, generator=stream("ways"), dtype=torch.float64)
    expected = passed(layer, u.clone())
    for module in [each for each in list(sys.modules.values()) if hasattr(each, "on_gpu")]:
        monkeypatch.setattr(module, "on_gpu", lambda x: True)
    found = passed(layer, u.clone())
    assert layer.path().startswith("triton")
    torch.testing.assert_close(found, expected)


def test_modes_of_dss_that_grow_are_read_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    with scope(0, "grow"):
        layer = load_model("dss[state=4]").build(width=3, length=7, causal=False).double()
    with torch.no_grad():
        layer.A_re[1::2] = 0.7
    u = torch.randn(1, 9, 3, generator=stream("grow"), dtype=torch.float64)
    expected = passed(layer, u.clone())
    for module in [each for each in list(sys.modules.values()) if hasattr(each, "on_gpu")]:
        monkeypatch.setattr(module, "on_gpu", lambda x: True)
    torch.testing.assert_close(passed(layer, u.clone()), expected)
