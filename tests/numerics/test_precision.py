"""Layers in single precision follow themselves in double over very long sequences."""

import copy

import pytest
import torch

from harness.loading import load_model
from harness.seeding import scope, stream

LONG = 262_144
RECIPES = (
    *(f"s4[state=8,init={init}]" for init in ("legs", "legt", "fout", "legs-fout", "lagt")),
    *(f"s4[state=8,init={init},dt_min=1e-5,dt_max=1e-4]" for init in ("legt", "fout", "lagt")),
    *(f"s5[state=16,blocks=2,{o}]" for o in ("disc=bilinear", "conj_sym=false", "clip_eigs=true")),
    *(f"s5[state=16,blocks=2,c_init={init}]" for init in ("lecun_normal", "complex_normal")),
    "s5[state=16,blocks=2,dt_min=1e-5,dt_max=1e-4]",
    "lru[state=16,r_min=0.9999]",
)


@pytest.mark.parametrize("text", RECIPES)
def test_float32_keeps_four_digits_over_262144_positions(text: str) -> None:
    with scope("long"):
        single = load_model(text).build(width=2, length=LONG, causal=True)
    double = copy.deepcopy(single).double()
    u = torch.randn(1, LONG, 2, generator=stream("long"))
    with torch.no_grad():
        y, expected = single(u), double(u.double())
    assert y.dtype == torch.float32
    for part in (slice(None), slice(-4096, None)):
        assert (y - expected)[:, part].norm() / expected[:, part].norm() < 1e-4
