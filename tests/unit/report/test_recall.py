"""Bits that were recalled, beside the bytes that held them; and scores by other counts."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import Report
from harness.report.counts import count_table
from harness.report.recall import information, recall_table, recalled
from harness.results.aggregate import comparable_groups
from tests.unit.report.made_records import again, scored


def recalls(score, *, values=8, state_bytes=1024, **fields):
    record = scored(score, chance=1 / 128, task="a/recall", state_bytes=state_bytes, **fields)
    return again(record, learned=msgspec.structs.replace(record.learned, recalls=values))


def rows(table):
    return [[text.text for text in row] for row in table.rows]


def test_all_that_is_recalled_counts_with_all_its_bits_and_chance_with_none() -> None:
    found = recalled(
        comparable_groups([recalls(1.0, model="gru"), recalls(1 / 128), recalls(0.0, model="lru")])
    )

    assert [(each.model, each.bits, each.most) for each in found] == [
        ("gru", (56.0,), 56.0),
        ("lru", (0.0,), 56.0),
        ("s4d", (0.0,), 56.0),
    ]
    assert [each.share for each in found] == [1, 0, 0]


def test_bits_stand_beside_the_bytes_of_the_state() -> None:
    table = recall_table(recalled(comparable_groups([recalls(1.0, seed=0), recalls(1.0, seed=1)])))

    bits, byte = "56 ± 0 (n=2)", "0.0547 ± 0 (n=2)"
    assert rows(table) == [["a/recall", "s4d", bits, "56.0", "1.00 KiB", byte]]


def test_half_of_the_answers_are_less_than_half_of_the_bits() -> None:
    (found,) = recalled(comparable_groups([recalls(0.5)]))

    assert found.bits[0] == pytest.approx(8 * (7 - 1 - 0.5 * math.log2(127)))


def test_a_task_that_recalls_nothing_and_a_model_without_a_state_have_no_row() -> None:
    records = [scored(), recalls(1.0, state_bytes=None, model="gru"), recalls(1.0, values=0)]

    assert recalled(comparable_groups(records)) == []


def test_recall_is_drawn_against_the_state_where_two_models_have_one() -> None:
    def pictures(*records):
        drawn = Report(list(records)).pictures().get("Standings", [])
        return [each for each in drawn if each.name == "recalled"]

    records = [recalls(1.0, model="gru"), recalls(0.5, state_bytes=256)]
    (picture,) = pictures(*records)

    places = {name: (*x, *y) for _, name, x, y in picture.series}
    assert places["gru"] == (1024, 1)
    assert places["s4d"] == pytest.approx((256, (6 - 0.5 * math.log2(127)) / 7), rel=1e-4)
    assert pictures(records[0]) == []
    titles = [table.title for table in Report(records).tables()["Standings"]]
    assert titles[-1] == "Recalled bits per byte of state"


def test_other_counts_of_the_same_answers_have_rows_of_their_own() -> None:
    record = scored(0.9)
    test = {"accuracy": 0.9, "macro_accuracy": 0.7, "sequence_accuracy": 0.25, "loss": 3.0}
    learned = msgspec.structs.replace(record.learned, scores={"test": test})
    table = count_table(
        comparable_groups([again(record, learned=learned), scored(0.5, model="gru")])
    )

    assert table.columns == ("Task", "Count", "s4d")
    assert rows(table) == [
        ["synthetic/shift", "macro_accuracy", "0.700 (n=1)"],
        ["synthetic/shift", "sequence_accuracy", "0.250 (n=1)"],
    ]
    assert count_table(comparable_groups([scored()])).rows == ()


@given(st.integers(2, 1000), st.floats(0, 1), st.floats(0, 1))
def test_more_right_answers_never_tell_less(choices: int, one: float, other: float) -> None:
    less, more = (information(share, choices) for share in sorted((one, other)))

    assert 0 <= less <= more + 1e-9
    assert more <= np.log2(choices)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_channel_with_evenly_spread_errors_tells_just_that(share: float) -> None:
    joint = np.full((5, 5), (1 - share) / 4 / 5)
    np.fill_diagonal(joint, share / 5)

    told = (joint * np.log2(joint / joint.sum(0) / joint.sum(1)[:, None])).sum()
    assert information(share, 5) == pytest.approx(told)
