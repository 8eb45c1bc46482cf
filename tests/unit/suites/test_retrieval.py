"""Associations and copies: against the plain definitions and the published generators' rules."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import IGNORED, SpecError
from harness.core.seeding import stream
from suites.retrieval.induction_heads import InductionHeads
from suites.retrieval.mqar import Mqar, chosen
from suites.retrieval.selective_copying import SelectiveCopying

SEEDS = st.integers(0, 2**32)


@given(st.integers(1, 8), SEEDS)
def test_each_key_is_asked_once_and_answered_by_its_value(pairs: int, seed: int) -> None:
    task = Mqar(length=40, pairs=pairs, vocabulary=64)
    batch = task.sample(3, stream(seed))
    for tokens, labels in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        keys, values = tokens[: 2 * pairs : 2], tokens[1 : 2 * pairs : 2]
        asked = {tokens[i]: label for i, label in enumerate(labels) if label != IGNORED}

        assert len({*keys}) == len({*values}) == pairs
        assert all(1 <= key < 32 <= value < 64 for key, value in zip(keys, values, strict=True))
        assert asked == dict(zip(keys, values, strict=True))
        assert all(
            i >= 2 * pairs and i % 2 == 0 for i, label in enumerate(labels) if label != IGNORED
        )


def test_early_slots_are_asked_more_often() -> None:
    """With one question, slot i has the probability i^-0.99 over the sum of all."""
    task = Mqar(length=20, pairs=1, vocabulary=64)
    targets = task.sample(40_000, stream("slots")).targets
    share = (targets != IGNORED).double().mean(0)[2::2]
    weights = torch.arange(1, 10).double() ** -0.99

    torch.testing.assert_close(share, weights / weights.sum(), atol=0.01, rtol=0)


def test_numbers_drawn_without_replacement_have_their_weights() -> None:
    """First by weight, then by weight among the rest: the second moment of sequential draws."""
    weights = torch.tensor([4.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    draws = chosen(weights.expand(40_000, -1), 2, stream("race"))
    first = torch.bincount(draws[:, 0], minlength=4) / len(draws)
    after_zero = draws[draws[:, 0] == 0, 1]

    torch.testing.assert_close(first.double(), weights / 8, atol=0.01, rtol=0)
    rest = torch.bincount(after_zero, minlength=4) / len(after_zero)
    torch.testing.assert_close(rest, torch.tensor([0, 0.5, 0.25, 0.25]), atol=0.015, rtol=0)


def test_more_pairs_are_asked_as_long_as_the_vocabulary_allows() -> None:
    further = Mqar().evaluations()

    assert list(further) == ["pairs-16"]
    batch = further["pairs-16"]().batch
    assert batch.inputs.shape == (256, 128)
    assert ((batch.targets != IGNORED).sum(1) == 16).all()
    assert list(Mqar(vocabulary=512).evaluations()) == ["pairs-16", "pairs-32"]


@given(st.integers(1, 9), st.integers(0, 20), SEEDS)
def test_what_is_no_blank_is_given_back_in_order(tokens: int, more: int, seed: int) -> None:
    task = SelectiveCopying(length=2 * tokens + 2 + more, tokens=tokens, vocabulary=6)
    batch = task.sample(3, stream(seed))
    for row, labels in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        marker = row.index(5)

        assert [t for t in row[:marker] if t != 4] == labels[-tokens:]
        assert row[marker + 1 :] == [4] * tokens
        assert set(labels[:-tokens]) <= {IGNORED}


def test_contents_stand_at_every_place_equally_often() -> None:
    task = SelectiveCopying(length=20, tokens=4)
    share = (task.sample(20_000, stream("places")).inputs[:, :15] < 14).double().mean(0)

    assert share.sub(4 / 15).abs().max() < 0.02


@given(st.integers(3, 60), SEEDS)
def test_the_value_behind_the_special_token_is_asked_at_the_end(length: int, seed: int) -> None:
    batch = InductionHeads(length=length).sample(3, stream(seed))
    for row, label in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        first = row.index(15)

        assert row[-1] == 15
        assert row.count(15) == 2
        assert first < length - 2
        assert row[first + 1] == label


def test_induction_is_asked_at_lengths_far_from_the_trainings() -> None:
    further = InductionHeads().evaluations()

    assert list(further) == ["length-64", "length-1024", "length-4096", "length-16384"]
    assert further["length-1024"]().batch.inputs.shape == (128, 1024)


@pytest.mark.parametrize(
    ("recipe", "options", "sentence"),
    [
        (Mqar, {"length": 30}, "even and at least 4 x pairs = 32, not 30"),
        (Mqar, {"length": 256}, "must exceed the length 256, not be 256"),
        (SelectiveCopying, {"tokens": 128}, r"length > 2 tokens \+ 1, .* tokens=128"),
        (InductionHeads, {"length": 2}, "'length' must be at least 3, not 2"),
    ],
)
def test_impossible_options_are_refused(recipe: type, options: dict, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        recipe(**options)
