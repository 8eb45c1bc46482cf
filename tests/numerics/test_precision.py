"""Layers in single precision follow themselves in double over very long sequences."""

import copy
import math

import pytest
import torch
from torch import Tensor

from baselines.ops.ssm.discretisation import discretise
from harness.core.seeding import scope, stream
from harness.plugins.loading import load_model

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


def integral(z: Tensor) -> Tensor:
    """Return (exp z - 1) / z by its series, which near zero needs three terms."""
    return 1 + z / 2 + z.square() / 6


@pytest.mark.parametrize("size", [1e-15, 1e-9, 1e-5])
def test_a_held_input_counts_in_full_however_short_the_step(size: float) -> None:
    A = torch.polar(torch.ones(5), torch.linspace(0.5, 3, 5)).to(torch.complex128)
    dt = torch.tensor([size], dtype=torch.float64)
    _, gain = discretise(A, dt, "zoh")
    torch.testing.assert_close(gain / dt, integral(dt * A), rtol=1e-14, atol=0)


@pytest.mark.parametrize("text", ["s4d[init=lin]", "dss[form=exp,init=lin]", "s5"])
def test_twice_a_tiny_step_takes_in_twice_as_much_in_float32(text: str) -> None:
    """A difference between exp(1e-12 A) and one would keep four digits of it."""
    with scope("tiny"):
        layer = load_model(text).build(width=8, length=8, causal=True)
    steps, taken = layer.log_step if text == "s5" else layer.log_dt, []
    with torch.no_grad():
        steps.fill_(-12 * math.log(10))
        layer.D.zero_()
        for rate in (1.0, 2.0):
            layer.resample(rate)
            taken.append(layer(torch.ones(1, 1, 8)))
    torch.testing.assert_close(taken[1], 2 * taken[0], rtol=1e-6, atol=0)
