"""Layers of other packages, wrapped as users would: they pass, or fail with the right sentence."""

# ruff: noqa: D101 - the classes are other people's models

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.api import Mixer, Model
from harness.testing import Check, CheckError, NotApplicableError, checks_for

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's packages


class S5Layer(Mixer):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        with torch.autocast(u.device.type, enabled=False):  # it knows no autocast
            return self.layer(u.to(self.layer.seq.D.dtype)).to(u.dtype)


class MambaLayer(Mixer):
    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.block(u)

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        inner, config = self.block.D, self.block.config
        window = inner.new_zeros(batch, config.d_inner, config.d_conv - 1)
        return inner.new_zeros(batch, config.d_inner, config.d_state), window

    def step(self, u: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
        return self.block.step(u, state)


@dataclass(frozen=True, kw_only=True)
class S5(Model):
    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        return S5Layer(pytest.importorskip("s5").S5(width, 2 * width))


@dataclass(frozen=True, kw_only=True)
class Mamba(Model):
    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        mamba = pytest.importorskip("mambapy.mamba")
        return MambaLayer(mamba.MambaBlock(mamba.MambaConfig(d_model=width, n_layers=1)))


@pytest.mark.parametrize("recipe", [S5(), Mamba()], ids=["s5-pytorch", "mambapy"])
@pytest.mark.parametrize("check", checks_for(S5()), ids=str)
def test_a_layer_of_a_package_is_judged_rightly(check: Check, recipe: Model) -> None:
    try:
        check(recipe)
    except NotApplicableError as reason:
        if "no step mode" not in str(reason):
            raise
        assert isinstance(recipe, S5)
    except CheckError as error:
        assert isinstance(recipe, Mamba)
        assert check.name == "differentiates-exactly"
        assert "It is float32 inside (`float` makes float32 of float64)" in str(error)  # noqa: PT017
