"""The probes of mechanistic architecture design: against their rules and their measured sizes."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import IGNORED, SpecError
from harness.core.seeding import stream
from suites.mad._motifs import ABSENT, LONGEST, Motifs
from suites.mad.compression import Compression, Decoder
from suites.mad.fuzzy_recall import FuzzyRecall
from suites.mad.memorization import Memorization
from suites.mad.noisy_recall import NoisyRecall
from suites.mad.recall import Recall

SEEDS = st.integers(0, 2**32)


def texts(task: Recall | NoisyRecall | FuzzyRecall, seed: int) -> list[tuple[list[int], set[int]]]:
    """Return whole texts, and the places in them that are labelled."""
    batch = task.sample(4, stream(seed))
    found = []
    for tokens, labels in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        places = {place + 1 for place, label in enumerate(labels) if label != IGNORED}
        assert all(tokens[p] == labels[p - 1] for p in places if p < len(tokens))
        found.append(([*tokens, labels[-1]], places))
    return found


@given(SEEDS, st.integers(2, 20), st.integers(2, 6))
def test_every_value_of_a_repeated_key_is_asked_and_no_other(
    seed: int, pairs: int, half: int
) -> None:
    for text, asked in texts(Recall(length=2 * pairs, vocabulary=2 * half), seed):
        known: dict[int, int] = {}
        for place, (key, value) in enumerate(zip(text[::2], text[1::2], strict=True)):
            assert key < half <= value < 2 * half
            assert (2 * place + 1 in asked) == (key in known)
            assert known.setdefault(key, value) == value
        assert len(text) - 1 in asked


@given(SEEDS, st.floats(0, 1), st.integers(2, 20))
def test_noise_stands_in_the_place_of_pairs_and_is_never_asked(
    seed: int, share: float, pairs: int
) -> None:
    task = NoisyRecall(length=2 * pairs, vocabulary=12, noise=4, share=share)
    for text, asked in texts(task, seed):
        known: dict[int, int] = {}
        for place, (key, value) in enumerate(zip(text[::2], text[1::2], strict=True)):
            assert (key >= 8) == (value >= 8)
            assert (2 * place + 1 in asked) == (key in known)
            if key < 8:
                assert key < 4 <= value
                assert known.setdefault(key, value) == value
        assert len(text) - 1 in asked


def test_the_last_key_among_noise_is_any_that_was_shown_however_often() -> None:
    keys = NoisyRecall().sample(4000, stream("last")).inputs[:, ::2]

    earlier = (keys[:, :-1] == keys[:, -1:]).sum(1)

    # What the source's own generator draws; drawn by place it would be 7.21.
    assert earlier.double().mean() == pytest.approx(6.29, abs=0.12)
    assert earlier.min() >= 1


@given(SEEDS)
def test_motifs_of_fuzzy_recall_keep_their_values(seed: int) -> None:
    task = FuzzyRecall(length=40, vocabulary=9)
    for text, asked in texts(task, seed):
        pads = text.count(8)
        assert set(text[:pads]) <= {8}
        known: dict[tuple[int, ...], tuple[int, ...]] = {}
        place = pads
        while place < len(text):
            key = tuple(t for t in text[place : place + LONGEST] if t < 4)
            end = place + len(key)
            while end < len(text) and text[end] >= 4:
                end += 1
            value = tuple(text[place + len(key) : end])

            assert len(key) == len(set(key)) == LONGEST
            assert 1 <= len(value) == len(set(value)) <= LONGEST
            values = set(range(place + LONGEST, end))
            assert values & asked == (values if key in known else set())
            assert known.setdefault(key, value) == value
            place, last = end, key in known
        assert last
        assert len(text) - 1 in asked


@pytest.mark.parametrize(("task", "labels"), [(Recall(), 56.0), (NoisyRecall(), 43.6)], ids=repr)
def test_as_much_is_asked_as_by_the_published_generator(
    task: Recall | NoisyRecall, labels: float
) -> None:
    targets = task.sample(1280, stream("labels")).targets

    assert (targets != IGNORED).sum(1).double().mean().item() == pytest.approx(labels, abs=0.3)


@pytest.mark.parametrize("task", [Recall(), NoisyRecall(), FuzzyRecall()], ids=repr)
def test_training_asks_for_every_next_token(task: Recall | NoisyRecall | FuzzyRecall) -> None:
    first, second = islice(task.train_batches(8), 2)

    assert torch.equal(first.inputs[:, 1:], first.targets[:, :-1])
    assert (first.targets != IGNORED).all()
    assert not torch.equal(first.inputs, second.inputs)


def test_motifs_are_distinct_tokens_and_their_lengths_equally_likely() -> None:
    drawn = Motifs(5, 4, 1).drawn(30_000, stream("motifs"))
    sizes = (drawn != ABSENT).sum(1)
    pairs = drawn[sizes == 2, :2]

    assert drawn[drawn != ABSENT].unique().tolist() == [5, 6, 7, 8]
    assert (pairs[:, 0] != pairs[:, 1]).all()
    share = torch.bincount(sizes, minlength=4) / len(drawn)
    assert share[1:].sub(1 / 3).abs().max() < 0.02
    codes = torch.bincount((pairs[:, 0] - 5) * 4 + pairs[:, 1] - 5, minlength=16) / len(pairs)
    assert codes[codes > 0].sub(1 / 12).abs().max() < 0.01


def test_training_keys_of_fuzzy_recall_may_be_short() -> None:
    task = FuzzyRecall(length=60, vocabulary=16)
    batch = next(task.train_batches(64))
    runs = {
        len(run)
        for row in batch.inputs.tolist()
        for run in "".join("k" if t < task.keys else " " for t in row).split()
    }

    assert runs == {1, 2, 3}


def test_memorized_facts_are_the_same_in_every_set_and_no_two_keys_share_a_value() -> None:
    task = Memorization()
    facts = task.facts
    batch = task.sample(50, stream("facts"))

    assert len(facts) == 127
    assert len(facts.unique()) == 127
    assert facts.min() >= 127
    assert facts.max() < 255
    assert (batch.inputs[:, 1::2] == 255).all()
    assert torch.equal(batch.targets[:, 1::2], facts[batch.inputs[:, ::2]])
    assert (batch.targets[:, ::2] == IGNORED).all()


def test_a_decoder_sees_only_the_last_position_and_tells_places_apart() -> None:
    task = Compression(length=6)
    hidden = torch.randn(2, 6, 8, generator=stream("hidden"))
    head = task.outputs.head(8)

    read = task.outputs.gather(hidden, None)
    decoded = head(read)

    assert torch.equal(read, hidden[:, -1:])
    assert torch.equal(task.outputs.gather(hidden, torch.tensor([3, 6]))[0, 0], hidden[0, 2])
    assert decoded.shape == (2, 6, 16)
    assert not torch.allclose(decoded[:, 0], decoded[:, 1])
    assert Decoder(7, 3, 5).places.shape == (5, 7)


@pytest.mark.parametrize(
    ("recipe", "options", "sentence"),
    [
        (Recall, {"vocabulary": 7}, "even and at least 4, not vocabulary=7"),
        (NoisyRecall, {"noise": 30}, "at least 4, must be left, not 2 of vocabulary=32"),
        (NoisyRecall, {"share": 1.5}, "0 <= share <= 1, not length=128, share=1.5"),
        (FuzzyRecall, {"vocabulary": 6}, "at least 7 and the length at least 18"),
        (Memorization, {"length": 3}, "even and positive .* length=3"),
        (Compression, {"vocabulary": 2}, "'vocabulary' must be at least 3, not 2"),
    ],
)
def test_impossible_options_are_refused(recipe: type, options: dict, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        recipe(**options)


@pytest.mark.parametrize("length", [8, 32])
def test_a_constant_is_judged_at_every_place_of_a_compressed_sequence(length: int) -> None:
    task, outputs = Compression(length=length), Compression(length=length).outputs
    test = task.sample(32, stream("test"))
    frequencies = outputs.constant(test.targets)
    read = outputs.gather(torch.zeros(32, length, 1), None)

    # What a network does that predicts the same for everything.
    figures = outputs.per_example(frequencies.expand(*read.shape[:-1], -1), test.targets)

    right = (test.targets == frequencies.argmax()).double().mean().item()
    assert outputs.score(figures, 32)["accuracy"] == pytest.approx(right)
