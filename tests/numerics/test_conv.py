"""Dilated convolutions: products of taps equal torch's convolution, steps equal the sequence."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baselines.conv import Conv, ConvLayer
from harness.api import SpecError
from harness.core.seeding import scope, stream


def layer(kernel: int, *, causal: bool = True) -> ConvLayer:
    with scope("layer"):
        recipe = Conv(kernel=kernel, levels=3)
        return recipe.build(width=3, length=6, causal=causal).double()


def features(length: int) -> Tensor:
    return torch.randn(2, length, 3, generator=stream("u", length), dtype=torch.float64)


def by_torch(mixer: ConvLayer, u: Tensor) -> Tensor:
    """Run the layer with torch's convolution."""
    x = u.mT
    for number, level in enumerate(mixer.levels):
        weight = level.weight.unflatten(1, (mixer.kernel, -1)).mT
        reach = (mixer.kernel - 1) << number
        after = 0 if mixer.causal else (mixer.kernel - 1) // 2 << number
        padded = F.pad(x, (reach - after, after))
        x = x + F.conv1d(padded, weight, level.bias, dilation=1 << number).relu()
    return mixer.out(x.mT)


@given(kernel=st.integers(2, 5), length=st.integers(1, 30), causal=st.booleans())
def test_products_of_taps_equal_torchs_convolution_and_its_gradients(
    kernel: int, length: int, causal: bool
) -> None:
    kernel += 1 - kernel % 2 if not causal else 0
    mixer, u = layer(kernel, causal=causal), features(length).requires_grad_()
    found, expected = mixer(u), by_torch(mixer, u)
    torch.testing.assert_close(found, expected)
    leaves = [u, *mixer.parameters()]
    direction = torch.randn(found.shape, generator=stream("to"), dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((found * direction).sum(), leaves),
        torch.autograd.grad((expected * direction).sum(), leaves),
    )


@given(kernel=st.integers(2, 4), length=st.integers(1, 40), first=st.integers(0, 40))
def test_steps_and_pieces_continue_the_sequence(kernel: int, length: int, first: int) -> None:
    mixer, u, first = layer(kernel), features(length), min(first, length)
    whole = mixer(u)
    before, state = mixer.advance(u[:, :first], mixer.initial_state(2))
    after, last = mixer.advance(u[:, first:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), whole)
    for position in range(first, length):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    torch.testing.assert_close(state, last)


def test_a_position_reaches_as_far_as_the_docstring_says() -> None:
    mixer = layer(3)
    u = features(20).requires_grad_()
    (gradient,) = torch.autograd.grad(mixer(u)[:, -1].sum(), u)
    reached = gradient.abs().sum((0, 2)).nonzero()
    assert 19 - reached.min().item() == (3 - 1) * (2**3 - 1)


def test_padding_reaches_no_valid_position() -> None:
    mixer, u = layer(3, causal=False), features(9)
    padded = u.clone()
    padded[1, 4:] = 1e6
    y = mixer(padded, torch.tensor([9, 4]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :4], mixer(u[1:, :4]))


def test_a_centred_convolution_has_as_many_taps_on_either_side() -> None:
    with pytest.raises(SpecError, match="kernel must be odd, not 4"):
        Conv(kernel=4).build(width=3, length=8, causal=False)
