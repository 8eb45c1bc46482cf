"""Errors of single examples come back as they were, small; what is damaged is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from harness.core.per_example import LARGEST, MOST, MOST_FLOATS, PerExample, kept

halves = some.floats(0, LARGEST, width=16)


@given(some.lists(some.sampled_from([0.0, 1.0]), min_size=1, max_size=2 * MOST) | some.just([1.0]))
def test_right_and_wrong_take_a_bit_an_example(errors):
    found = kept(errors, "abc")

    assert found.values == errors[:MOST]
    assert len(msgspec.json.encode(found)) < 60 + MOST / 8 * 4 / 3


@given(some.lists(halves, min_size=1, max_size=50))
def test_other_errors_come_back_as_half_precision_holds_them(errors):
    assert kept(errors, "abc").values == errors


def test_few_errors_are_kept_and_large_ones_cut():
    found = kept([0.25, 1e30] * MOST_FLOATS, "abc")

    assert found.values == [0.25, LARGEST] * (MOST_FLOATS // 2)


@pytest.mark.parametrize("damage", [{"count": 9}, {"count": 0}, {"errors": "AA=A"}, {"errors": ""}])
def test_what_does_not_hold_so_many_errors_is_refused(damage):
    good = msgspec.to_builtins(kept([0.0, 1.0, 1.0], "abc"))

    assert msgspec.convert(good, PerExample).values == [0.0, 1.0, 1.0]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**good, **damage}, PerExample)
