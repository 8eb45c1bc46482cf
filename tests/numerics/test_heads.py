"""Heads: rotary positions are relative, sinusoids the paper's, one position like a sequence."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines.ops.attention.heads import (
    CACHED,
    Heads,
    Positions,
    rotate,
    rotation,
    sinusoids,
)
from harness.api import SpecError
from harness.core.seeding import scope, stream


@given(query=st.integers(0, 10**6), key=st.integers(0, 10**6), shift=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_scores_depend_on_the_distance_alone(query: int, key: int, shift: int) -> None:
    rng = stream("heads", 1)
    q, k = (torch.randn(2, 1, 2, 4, generator=rng, dtype=torch.float64) for _ in "qk")

    def turned(x: Tensor, at: int) -> Tensor:
        return rotate(x, rotation(torch.tensor([at]), x.shape[-1], x.dtype))

    def score(at: int, to: int) -> Tensor:
        return (turned(q, at) * turned(k, to)).sum(-1)

    torch.testing.assert_close(
        score(query, key), score(query + shift, key + shift), rtol=1e-7, atol=1e-8
    )


def test_the_first_pair_turns_by_one_radian_a_position() -> None:
    x = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).expand(1, 3, 1, 4)
    turned = rotate(x, rotation(torch.arange(3), 4, x.dtype))[0, :, 0]
    for position in range(3):
        expected = torch.tensor([math.cos(position), 0.0, math.sin(position), 0.0]).double()
        torch.testing.assert_close(turned[position], expected, rtol=1e-6, atol=1e-7)


@given(
    places=st.lists(st.integers(0, 3 * CACHED), min_size=1, max_size=6),
    positions=st.sampled_from(get_args(Positions)),
)
@settings(max_examples=20, deadline=None)
def test_positions_one_at_a_time_in_any_order_count_as_in_a_sequence(
    places: list[int], positions: Positions
) -> None:
    with scope("layer"):
        projected = Heads(16, 4, 2, positions).double()
    u = torch.randn(1, 3 * CACHED + 1, 16, generator=stream("u"), dtype=torch.float64)
    whole = projected(u)
    for place in places:
        alone = projected(u[:, place : place + 1], place)
        torch.testing.assert_close(alone, tuple(x[:, place : place + 1] for x in whole))


def test_encodings_that_are_cached_follow_the_precision() -> None:
    with scope("layer"):
        projected = Heads(16, 4, 4, "rotary").double()
    u = torch.ones(1, 1, 16, dtype=torch.float64)
    projected(u, 5)
    q, _, _ = projected.float()(u.float(), 5)
    assert q.dtype == torch.float32


def test_a_width_that_does_not_divide_is_refused_in_a_sentence() -> None:
    with pytest.raises(SpecError, match="multiple of 8"):
        Heads(12, 4, 4, "rotary")


@pytest.mark.parametrize("width", [6, 7])
def test_sinusoids_are_the_papers(width: int) -> None:
    (table,) = sinusoids(torch.arange(3, 12), width, torch.float64)
    for position, feature in ((3, 0), (7, 3), (11, width - 1)):
        angle = position / 10_000 ** (feature // 2 * 2 / width)
        expected = math.cos(angle) if feature % 2 else math.sin(angle)
        assert table[position - 3, feature].item() == pytest.approx(expected, rel=1e-12)
