"""Mamba-3 between its projections by kernels equals torch, in Triton's interpreter."""

import pytest
import torch
from torch import Tensor

from baselines.ops.layers.two_tap_layer import TwoTapState, Weights, torch_two_tap_layer
from harness.core.seeding import stream
from tests.numerics.interpreted import agree, kernels

layer = kernels("two_tap_layer")
drives = kernels("two_tap_drives")
outputs = kernels("two_tap_output")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs be so small that several are cheap."""
    for module, name, size in (
        (drives, "NUMBERS", 8),
        (drives, "SIZE", 8),
        (outputs, "NUMBERS", 16),
    ):
        monkeypatch.setattr(module, name, size)


def drawn(length: int, heads: int, features: int, states: int) -> tuple[list[Tensor], list[int]]:
    """Draw what is projected, all weights, and a state."""
    angles, inner = states // 4, heads * features
    parts = [inner, inner, states, states, heads, heads, heads, angles]
    rng = stream("two taps", length, heads, features, states)
    biases, of_state = (1, heads, states), (heads, states, features)
    sets = (1, heads, states), (1, heads, features), (heads, angles)
    weights = (heads,), (states,), (states,), biases, biases, (heads,)
    shapes = (2, length, sum(parts)), *weights, *((2, *each) for each in (of_state, *sets))
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return [leaf.requires_grad_() for leaf in leaves], parts


def of(form, parts):
    def flat(projected, *rest):
        weights, state = Weights(*rest[:6], None, parts), TwoTapState(*rest[6:])
        z, y, last = form(projected, weights, state)
        return z, y, *last

    return flat


@pytest.mark.parametrize(
    ("length", "heads", "features", "states"), [(1, 1, 2, 4), (5, 3, 3, 7), (9, 2, 5, 9)]
)
def test_outputs_states_and_all_gradients_are_alike(
    length: int, heads: int, features: int, states: int
) -> None:
    leaves, parts = drawn(length, heads, features, states)
    with torch.no_grad():
        # A rate that is cut off, and gates that are shut or open.
        leaves[0][0, 0, -states // 4 - 2 * heads] = -1e6
        leaves[0][0, -1, -states // 4 - heads] = 40
        leaves[0][1, -1, -states // 4 - 3 * heads] = -40
    agree(of(layer.two_tap_layer, parts), of(torch_two_tap_layer, parts), leaves)


def test_what_is_projected_in_half_precision_has_gradients_of_its_own() -> None:
    leaves, parts = drawn(5, 2, 3, 6)
    given = [leaf.detach().float() for leaf in leaves]
    given[0] = given[0].bfloat16()
    found = []
    for form in (layer.two_tap_layer, torch_two_tap_layer):
        mine = [each.clone().requires_grad_() for each in given]
        _, y, state = of(form, parts)(*mine)[:3]
        (y.square().sum() + state.square().sum()).backward()
        found.append([y, state, *(each.grad for each in mine[:7])])
    assert found[0][2].dtype == torch.bfloat16
    torch.testing.assert_close(*found, rtol=1e-2, atol=1e-2)
