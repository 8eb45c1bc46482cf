"""Associations and copies: against the plain definitions and the published generators' rules."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import IGNORED, SpecError
from harness.core.seeding import stream
from suites.retrieval._associations import chosen, sides
from suites.retrieval.continuous_mqar import ContinuousMqar, nearest
from suites.retrieval.induction_heads import InductionHeads
from suites.retrieval.mqar import Mqar
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


def told(task: Mqar, seed: int) -> list[tuple[list[tuple[int, ...]], dict[tuple[int, ...], int]]]:
    """Return for each sequence the rows that are written, and the labels by the key before them."""
    batch, size, key = task.sample(3, stream(seed)), task.rules.size(task.pairs), task.rules.key
    found = []
    for tokens, labels in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        rows = [tuple(tokens[i : i + key + 1]) for i in range(0, size, key + 1)]
        places = [i for i, label in enumerate(labels) if label != IGNORED]
        assert all(i >= size + key - 1 for i in places)
        asked = {tuple(tokens[i + 1 - key : i + 1]): labels[i] for i in places}
        assert len(asked) == len(places) == task.rules.asked(task.pairs)
        found.append((rows, asked))
    return found


@given(st.integers(2, 12), SEEDS)
def test_what_is_forgotten_has_a_newer_value(pairs: int, seed: int) -> None:
    task = Mqar(length=60, pairs=pairs, vocabulary=128, variant="forgetting")
    for rows, asked in told(task, seed):
        old, new = dict(rows[:pairs]), dict(rows[pairs:])

        assert len(old) == pairs
        assert len(new) == pairs // 2
        assert new.keys() <= old.keys()
        assert not {*old.values()} & {*new.values()}
        assert asked == {(key,): value for key, value in {**old, **new}.items()}


@given(st.sampled_from([4, 6, 8, 9, 10]), SEEDS)
def test_neither_token_of_a_compositional_key_tells_the_value(pairs: int, seed: int) -> None:
    task = Mqar(length=60, pairs=pairs, vocabulary=64, variant="compositional")
    rows_, columns = sides(pairs)
    for rows, asked in told(task, seed):
        first, second, values = zip(*rows, strict=True)

        assert len({*first}) == rows_
        assert len({*second}) == columns
        assert len({*zip(first, second, strict=True)}) == len({*values}) == pairs
        assert 1 <= min(first) <= max(first) < 21 <= min(second) <= max(second) < 42 <= min(values)
        assert asked == {(a, b): value for a, b, value in rows}


@given(st.sampled_from([2, 4, 10]), SEEDS)
def test_a_chain_is_followed_for_two_steps(pairs: int, seed: int) -> None:
    task = Mqar(length=40, pairs=pairs, vocabulary=64, variant="chained")
    for rows, asked in told(task, seed):
        known = dict(rows)
        heads = {key for key, link in known.items() if link in known}

        assert len(known) == pairs
        assert asked == {(head,): known[known[head]] for head in heads}
        assert all(value >= 32 for value in asked.values())


@given(st.integers(1, 16), st.sampled_from(["stacked", "alternating"]), SEEDS)
def test_a_vector_is_answered_by_the_value_beside_or_behind_it(pairs, layout, seed) -> None:
    task = ContinuousMqar(pairs=pairs, layout=layout, vectors=20, channels=6)
    batch = task.sample(3, stream(seed))
    start = task.steps * pairs
    shown, told = batch.inputs.chunk(2, 2)
    keys, values = (nearest(x, y) for x, y in zip((shown, told), task.known, strict=True))

    assert torch.equal(batch.targets[:, :start], torch.full_like(keys[:, :start], IGNORED))
    assert not told[:, start:].any()
    for row in range(3):
        known = dict(
            zip(
                keys[row, : start : task.steps].tolist(),
                values[row, task.steps - 1 : start : task.steps].tolist(),
                strict=True,
            )
        )
        assert len(known) == pairs
        assert [known[key] for key in keys[row, start:].tolist()] == batch.targets[
            row, start:
        ].tolist()


def test_vectors_have_norm_one_and_stay_the_same() -> None:
    known = ContinuousMqar().known

    torch.testing.assert_close(known.norm(dim=2), torch.ones(2, 64))
    assert torch.equal(known, ContinuousMqar(pairs=4, layout="alternating").known)


@pytest.mark.parametrize(
    ("variant", "pairs", "ways"),
    [
        ("forgetting", 8, {"value of any pair": 1 / 8, "first value of the key": 1 / 2}),
        ("compositional", 9, {"value of any pair": 1 / 9, "value of the second token": 1 / 3}),
        ("chained", 8, {"first value": 1 / 4}),
    ],
)
def test_a_variant_states_what_reaches_it_by_less_than_is_asked(variant, pairs, ways) -> None:
    task = Mqar(variant=variant, pairs=pairs)
    batch = task.sample(300, stream("ways"))
    guesses = dict.fromkeys(ways, 0)
    for tokens, labels in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        step = task.rules.key + 1
        rows = [tokens[i : i + step] for i in range(0, task.rules.size(pairs), step)]
        last = rows[-1][-1] if variant != "chained" else next(r[1] for r in rows if r[1] >= 128)
        for place in (i for i, label in enumerate(labels) if label != IGNORED):
            same = next(row[-1] for row in rows if row[-2] == tokens[place])
            for name in ways:
                guess = last if name in {"value of any pair", "first value"} else same
                guesses[name] += guess == labels[place]
    asked = (batch.targets != IGNORED).sum().item()

    assert dict(task.shortcuts) == pytest.approx(ways)
    assert {name: right / asked for name, right in guesses.items()} == pytest.approx(ways, abs=0.03)


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
        (Mqar, {"variant": "chained", "pairs": 7}, "needs an even number of pairs, not 7"),
        (Mqar, {"variant": "compositional", "pairs": 7}, "pairs that is no prime, not 7"),
        (Mqar, {"variant": "forgetting", "pairs": 1}, "needs at least two pairs, not 1"),
        (ContinuousMqar, {"pairs": 65}, "'pairs' must be at most 64, not 65"),
        (Mqar, {"length": 30}, "With 8 pairs the length must be even and at least 32, not 30"),
        (Mqar, {"length": 256}, "must exceed the length 256, not be 256"),
        (SelectiveCopying, {"tokens": 128}, r"length > 2 tokens \+ 1, .* tokens=128"),
        (InductionHeads, {"length": 2}, "'length' must be at least 3, not 2"),
    ],
)
def test_impossible_options_are_refused(recipe: type, options: dict, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        recipe(**options)
