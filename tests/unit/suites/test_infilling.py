"""Infilling: texts spelled out, against what the task says of its words and holes."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import IGNORED, SpecError
from harness.core.seeding import stream
from suites.retrieval.infilling import Infilling

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MARKERS = "0123456789ABCDEFGHIJ"
SEEDS = st.integers(0, 2**32)


def spelled(tokens: torch.Tensor) -> str:
    return "".join((LETTERS + " _" + MARKERS)[token] for token in tokens.tolist())


@st.composite
def options(draw: st.DrawFn) -> dict[str, int]:
    words, copies = draw(st.integers(1, 8)), draw(st.integers(2, 4))
    holes = draw(st.integers(1, min(words * (copies - 1), len(MARKERS))))
    return {"words": words, "copies": copies, "holes": holes, "span": draw(st.integers(1, 5))}


@given(options(), SEEDS)
def test_what_is_asked_is_what_the_whole_words_have_at_the_holes(
    own: dict[str, int], seed: int
) -> None:
    task = Infilling(**own)
    span, holes = own["span"], own["holes"]
    batch = task.sample(3, stream(seed))
    assert batch.inputs.shape == (3, task.max_length)
    for tokens, labels in zip(batch.inputs, batch.targets, strict=True):
        *text, questions = spelled(tokens).split(" ")
        whole = {word for word in text if not set(word) & set(MARKERS)}
        spoilt = [word for word in text if set(word) & set(MARKERS)]
        answers = [spelled(letters) for letters in labels[labels >= 0].view(holes, span)]

        assert questions == "".join(mark + "_" * span for mark in MARKERS[:holes])
        asked = tokens == len(LETTERS) + 1
        assert torch.equal(asked, labels != IGNORED)
        restored = [
            word.replace(mark, answer)
            for word, mark, answer in zip(spoilt, MARKERS[:holes], answers, strict=True)
        ]
        assert len(whole) == own["words"]
        assert set(restored) <= whole
        assert {len(word) for word in whole} == {2 * span}
        written = Counter(restored) + Counter(word for word in text if word in whole)
        assert set(written.values()) == {own["copies"]}
        for place in range(2 * span):
            assert len({word[place] for word in whole}) == len(whole)


def test_holes_lie_before_and_behind_the_whole_word_and_everywhere_in_their_word() -> None:
    batch = Infilling(words=1, copies=2, holes=1).sample(4000, stream("everywhere"))
    first = (batch.inputs[:, :7] > len(LETTERS)).any(1)
    marker = batch.inputs[first, :7] == len(LETTERS) + 2

    assert first.double().mean().item() == pytest.approx(1 / 2, abs=0.04)
    starts = marker.double().mean(0)
    torch.testing.assert_close(starts[:4], torch.full((4,), 0.25).double(), atol=0.05, rtol=0)
    assert starts[4:].sum() == 0


def test_letters_are_uniform() -> None:
    targets = Infilling().sample(400, stream("letters")).targets
    share = torch.bincount(targets[targets >= 0], minlength=26) / (400 * 24)

    assert share.sub(1 / 26).abs().max() < 0.012


def test_more_words_are_asked_as_long_as_the_alphabet_allows() -> None:
    further = Infilling().evaluations()

    assert list(further) == ["words-16", "words-24"]
    assert further["words-16"]().batch.inputs.shape == (256, 16 * 3 * 7 + 16)
    assert list(Infilling(letters=16).evaluations()) == ["words-16"]


def test_a_model_may_read_both_ways_if_it_is_asked_to() -> None:
    past, both = Infilling(), Infilling(reading="both")

    assert past.causal
    assert not both.causal
    assert torch.equal(past.sample(2, stream(1)).inputs, both.sample(2, stream(1)).inputs)


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"words": 27}, "words <= letters, not words=27, letters=26"),
        ({"copies": 1}, "'copies' must be at least 2, not 1"),
        ({"holes": 17}, r"1 to words x \(copies - 1\) = 16 holes, not 17"),
    ],
)
def test_impossible_options_are_refused(own: dict[str, int], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Infilling(**own)
