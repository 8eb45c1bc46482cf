"""The phone book: its text against the printed layout, its answers, its scores."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import IGNORED, SpecError, one_hot
from harness.core.seeding import stream
from suites.retrieval._numbers import Numbers
from suites.retrieval._phone_book import END, NAMES, VOCABULARY, WORDS
from suites.retrieval.phone_book import PhoneBook

SPELLED = (*"0123456789", *WORDS, *(f"s{number}" for number in range(VOCABULARY - NAMES)))
BOOK = re.compile(
    r"What are the phone numbers for (?P<names>[^?]*) \? Find them in the phonebook below \. \n \n "
    r"Phonebook : \n (?P<lines>(?:[s\d ]+ : [\d -]+ \n )+)\n "
    r"What are the phone numbers for (?P=names) \? Find them in the phonebook above \. \n "
    r"(?P<answer>[\d ,-]+)"
)
SEEDS = st.integers(0, 2**32)


def spelled(tokens: torch.Tensor) -> str:
    return " ".join(SPELLED[token] for token in tokens.tolist())


@settings(max_examples=20)
@given(st.integers(1, 6), st.sampled_from(["small", "full"]), SEEDS)
def test_a_book_is_written_as_printed_and_answers_what_is_asked(
    questions: int, size: str, seed: int
) -> None:
    task = PhoneBook(size=size, entries=24, questions=questions)  # type: ignore[arg-type]
    batch = task.drawn(4, (6, 24), None, stream(seed))
    assert batch.lengths is not None
    for tokens, labels, length in zip(batch.inputs, batch.targets, batch.lengths, strict=True):
        found = BOOK.fullmatch(spelled(tokens[:length]))
        assert found is not None
        lines = [row.split(" : ") for row in found["lines"].strip().split(" \n ")]
        book = {name.strip(): number for name, number in lines}
        names = [name.strip() for name in re.split(r", and |,", found["names"])]

        assert 6 <= len(book) == len(lines) <= 24
        assert 1 <= len(names) == len(set(names)) <= questions
        answer = " , ".join(book[name] for name in names)
        assert found["answer"] == answer
        assert spelled(labels[labels != IGNORED]) == answer + " <end>"
        first = int((labels != IGNORED).nonzero()[0])
        assert spelled(tokens[first : first + 1]) == "\n"
        assert (labels[first:length] != IGNORED).all()


@pytest.mark.parametrize(
    ("size", "form"), [("small", r"[1-9]\d-\d\d"), ("full", r"[1-9]\d\d-\d{3}-\d{4}")]
)
def test_numbers_have_the_form_of_their_size(size: str, form: str) -> None:
    batch = PhoneBook(size=size, entries=24, questions=4).sample(20, stream("form"))  # type: ignore[arg-type]
    answers = [spelled(labels[labels != IGNORED]).replace(" ", "") for labels in batch.targets]

    assert all(re.fullmatch(f"{form}(,{form})*<end>", answer) for answer in answers)
    assert {answer.count(",") for answer in answers} == {0, 1, 2, 3}


def test_names_and_numbers_are_uniform() -> None:
    batch = PhoneBook(questions=1).drawn(400, (24, 24), 1, stream("uniform"))
    syllables = torch.bincount(batch.inputs[batch.inputs >= NAMES] - NAMES, minlength=64)
    labels = batch.targets[batch.targets != IGNORED].view(400, -1)

    assert (syllables / syllables.sum() * 64 - 1).abs().max() < 0.25
    assert (torch.bincount(labels[:, 0], minlength=10) / 400)[1:].sub(1 / 9).abs().max() < 0.06
    assert (torch.bincount(labels[:, 4], minlength=10) / 400).sub(1 / 10).abs().max() < 0.06


def test_every_place_of_the_book_is_asked_equally_often() -> None:
    batch = PhoneBook(questions=2).drawn(3000, (24, 24), 1, stream("places"))
    start = int((batch.inputs[0] == SPELLED.index("Phonebook")).nonzero()[0]) + 3
    lines = batch.inputs[:, start : start + 9 * 24].unflatten(1, (24, 9))
    asked = (lines[:, :, :2] == batch.inputs[:, None, 6:8]).all(2)

    assert torch.equal(asked.sum(1), torch.ones(3000, dtype=torch.long))
    assert asked.double().mean(0).sub(1 / 24).abs().max() < 0.02


def test_the_full_size_is_the_papers() -> None:
    task = PhoneBook(size="full")
    batch = task.sample(2, stream("full"))
    colons = (batch.inputs == SPELLED.index(":")).sum(1) - 1
    small = next(task.train_batches(24)).inputs
    trained = (small == SPELLED.index(":")).sum(1) - 1

    assert ((colons >= 750) & (colons <= 800)).all()
    assert ((trained >= 200) & (trained <= 800)).all()
    assert trained.min() < 400
    assert batch.inputs.shape[1] <= task.max_length < 16_384


def test_further_books_ask_for_few_and_many_and_are_twice_as_long() -> None:
    further = PhoneBook().evaluations()

    assert list(further) == ["questions-1", "questions-4", "entries-48"]
    many = further["questions-4"]().batch
    assert ((many.targets == SPELLED.index(",")).sum(1) == 3).all()
    longer = further["entries-48"]().batch
    assert ((longer.inputs == SPELLED.index(":")).sum(1) == 49).all()


def test_a_number_is_right_only_as_a_whole() -> None:
    outputs = Numbers(12, (10, 11))
    targets = torch.tensor([[IGNORED, 1, 2, 10, 3, 4, 11], [5, 6, 10, 7, 8, 11, IGNORED]])
    guesses = torch.tensor([[9, 1, 2, 10, 3, 0, 11], [5, 6, 10, 7, 8, 11, 0]])
    found = outputs.score(outputs.per_example(one_hot(guesses, 12), targets), 1)

    assert found["number_accuracy"] == 3 / 4
    assert found["accuracy"] == pytest.approx(11 / 12)
    assert found["sequence_accuracy"] == 1 / 2


@given(SEEDS)
def test_whole_numbers_are_counted_as_one_by_one(seed: int) -> None:
    task = PhoneBook()
    batch = task.sample(5, stream(seed))
    noise = torch.rand(batch.targets.shape, generator=stream(seed, "noise")) < 0.1
    guesses = batch.targets.clamp(min=0).where(~noise, 0)
    outcomes = []
    for labels, guessed in zip(batch.targets, guesses, strict=True):
        right = True
        for label, guess in zip(labels.tolist(), guessed.tolist(), strict=True):
            right &= label in {IGNORED, guess}
            if label in {END, SPELLED.index(",")}:
                outcomes.append(right)
                right = True
    figures = task.outputs.per_example(one_hot(guesses, VOCABULARY), batch.targets)

    assert task.outputs.score(figures, 1)["number_accuracy"] == pytest.approx(
        sum(outcomes) / len(outcomes)
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"questions": 7}, "a quarter of the entries, not questions=7 of entries=24"),
        ({"entries": 100}, "4096 names, too few for 100 entries"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        PhoneBook(**options)
