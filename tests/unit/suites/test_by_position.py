"""Pairs among words, asked by where they stand: against a plain reading of the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import IGNORED, SpecError
from harness.core.seeding import stream
from suites.recall._haystack import ASK, KEYS, VALUES, WORDS
from suites.recall.by_position import ByPosition

OPTIONS = st.builds(
    lambda pairs, asked, syllables, digits, words: ByPosition(
        pairs=pairs,
        questions=min(asked, pairs),
        syllables=syllables,
        digits=digits,
        length=(pairs + min(asked, pairs)) * (syllables + digits) + words,
    ),
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 40),
)


def read(task, tokens):
    """Return (place, name, number) of each pair, and (name, number so far) of each question."""
    end, pairs, place = tokens.index(ASK), [], 0
    while place < end:
        if tokens[place] >= WORDS:
            place += 1
            continue
        name, number = parted(task, tokens[place : place + task.entry])
        assert all(KEYS <= token < VALUES for token in name)
        assert all(VALUES <= token < WORDS for token in number)
        pairs.append((place, name, number))
        place += task.entry
    starts = range(end + 1, len(tokens) + 1, task.entry)
    return pairs, [parted(task, tokens[at : at + task.entry - 1]) for at in starts]


def parted(task, tokens):
    return tuple(tokens[: task.syllables]), tokens[task.syllables :]


@settings(max_examples=40, deadline=None)
@given(OPTIONS, st.integers(0, 2**32), st.sampled_from([None, 0.0, 0.25, 1.0]))
def test_what_is_asked_stands_once_in_the_text(task: ByPosition, seed: int, depth) -> None:
    batch = task.drawn(3, task.length + 5, stream(seed), depth)
    for tokens, labels in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        pairs, asked = read(task, tokens)
        known = {name: number for _, name, number in pairs}

        assert len(tokens) == task.length + 5
        assert len(known) == len(pairs) == task.pairs
        assert len({tuple(number) for number in known.values()}) == task.pairs
        assert len({name for name, _ in asked}) == len(asked) == task.questions
        answers = [token for name, _ in asked for token in known[name]]
        assert [label for label in labels if label != IGNORED] == answers
        assert all(so_far == known[name][:-1] for name, so_far in asked)


@given(st.integers(0, 2**32), st.sampled_from([(0.0, {0, 1}), (0.5, {2, 3}), (1.0, {4, 5})]))
def test_a_depth_asks_for_the_pairs_that_stand_there(seed: int, wanted) -> None:
    task = ByPosition(pairs=6, questions=2, length=40)
    depth, ranks = wanted
    for tokens in task.drawn(4, 90, stream(seed), depth).inputs.tolist():
        pairs, asked = read(task, tokens)
        names = [name for _, name, _ in pairs]

        assert {names.index(name) for name, _ in asked} == ranks


def test_every_length_is_asked_at_every_depth() -> None:
    further = ByPosition(length=32, pairs=4, questions=2).evaluations()

    lengths = {name: made().batch.inputs.shape[1] for name, made in further.items()}
    whole = [name for name in lengths if "depth" not in name]
    grid = [name for name in lengths if "depth" in name]
    assert whole == ["length-64", "length-128", "length-256"]
    assert grid == [
        f"length-{length}-depth-{depth}"
        for length in (32, 64, 128, 256)
        for depth in (0, 25, 50, 75, 100)
    ]
    assert all(size == int(name.split("-")[1]) for name, size in lengths.items())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"questions": 9}, "'questions' must be at most 8, not 9"),
        ({"pairs": 65}, "'pairs' must be at most 64, not 65"),
        ({"length": 20}, "need a length of at least 24, not 20"),
        ({"digits": 0}, "'digits' must be at least 1, not 0"),
    ],
)
def test_impossible_options_are_refused(options, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        ByPosition(**options)
