"""Powers of poles against their definition, with gradients, and without slow numbers."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.scans.powers import power, powers
from harness.core.seeding import stream


def poles(radius: float) -> Tensor:
    rng = stream("poles")
    phase = torch.rand(2, 3, generator=rng, dtype=torch.float64)
    return torch.polar(torch.full_like(phase, radius), 6 * phase)


@given(exponent=st.integers(0, 300))
def test_powers_by_squaring_are_the_powers(exponent: int) -> None:
    pole = poles(0.98)
    torch.testing.assert_close(power(pole, exponent), (exponent * pole.log()).exp())


@given(count=st.integers(2, 70), radius=st.sampled_from([0.0, 0.4, 0.98, 1.0]))
def test_a_table_of_powers_and_its_gradient_are_those_of_repeated_products(
    count: int, radius: float
) -> None:
    pole = poles(radius).requires_grad_()
    weight = torch.randn(2, count, 3, generator=stream("weight"), dtype=torch.complex128)
    table = powers(pole, count, torch.complex128)
    steps = [torch.ones_like(pole)]
    for _ in range(count - 1):
        steps.append(steps[-1] * pole)
    plain = torch.stack(steps, 1)

    torch.testing.assert_close(table, plain)
    fast, slow = (torch.autograd.grad((weight * t).sum().real, pole)[0] for t in (table, plain))
    torch.testing.assert_close(fast, slow)


def test_tables_hold_no_number_that_slows_the_processor() -> None:
    pole = torch.full((1, 1), 0.9, dtype=torch.complex128)
    table = torch.view_as_real(powers(pole, 4096, torch.complex64))
    kept = table[table != 0].abs()
    assert len(kept) > 400
    assert kept.min() ** 2 > torch.finfo(torch.float32).tiny / 2
