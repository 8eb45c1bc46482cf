"""Objectives over texts: what is asked can be answered from the prompt, and stands where it should.

Texts of these tests have no token twice, so that every answer is the only one.
"""

import random
from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.contract.denoising import IGNORED
from harness.training.gaps import Infilling
from harness.training.mixtures import GRID, KINDS, MIXTURES, SYMBOLS, rows
from harness.training.objectives import (
    CONTEXT,
    COPY,
    DONE,
    END,
    GAP,
    GO,
    LEAST,
    MARKS,
    START,
    SelectiveCopying,
)

VOCABULARY = 400


def samples(inputs, targets, length):
    """Return (class, prompt, answer) of each sample of a row, as a reader finds them."""
    tokens, asked = inputs[:length], [t != IGNORED for t in targets[:length]]
    # The last token is a target alone.
    tokens, asked = [*tokens, targets[length - 1]], [False, *asked]
    runs = [(kind, [tokens[at] for at in run]) for kind, run in groups(asked)]
    found = []
    for (_, prompt), (_, answer) in zip(runs[::2], runs[1::2], strict=True):
        assert prompt[-1] == VOCABULARY + GO
        [paradigm] = [t for t in prompt if t >= VOCABULARY + MARKS]
        assert paradigm in (prompt[0], prompt[-2])
        rest = [t for t in prompt[:-1] if t != paradigm]
        found.append((KINDS[paradigm - VOCABULARY - MARKS], rest, answer))
    return found


def groups(asked):
    return [(kind, list(run)) for kind, run in groupby(range(len(asked)), asked.__getitem__)]


def written(objective, seed=0, size=300, count=4, text=None):
    rng = random.Random(seed)
    texts = [text or rng.sample(range(VOCABULARY), 280) for _ in range(count)]
    generator = torch.Generator().manual_seed(seed)
    batch = rows(texts, [objective] * count, size, VOCABULARY, generator)
    read = zip(batch.inputs.tolist(), batch.targets.tolist(), batch.lengths.tolist(), strict=True)
    return texts, batch, [samples(*row) for row in read]


def within(piece, text):
    """Say whether a piece stands in a text."""
    start = text.index(piece[0])
    return text[start : start + len(piece)] == piece


def split(tokens, mark):
    return [list(run) for feed, run in groupby(tokens, (VOCABULARY + mark).__eq__) if not feed]


def filled(prompt, answer):
    """Put what an answer gives behind each gap into the gaps of a prompt."""
    pieces = iter(split(answer, GAP))
    return [t for token in prompt for t in (next(pieces) if token == VOCABULARY + GAP else [token])]


def selected(prompt):
    """Find what a query names, by what stands around it."""
    context, copy = prompt.index(VOCABULARY + CONTEXT), prompt.index(VOCABULARY + COPY)
    text = prompt[context + 1 : copy] if copy > context else prompt[context + 1 :]
    query = prompt[copy + 1 :] if copy > context else prompt[copy + 1 : context]
    answer = []
    for asked in split(query, START):
        at = asked.index(VOCABULARY + END)
        before, behind = asked[:at], asked[at + 1 :]
        answer += text[text.index(before[-1]) + 1 : text.index(behind[0])]
    return [*answer, VOCABULARY + DONE]


def left(prompt):
    return [token for token in prompt if token != VOCABULARY + GAP]


ORACLES = {
    "next-token": lambda prompt, answer, text: not prompt and within(answer, text),
    "prefix": lambda prompt, answer, text: within(prompt + answer, text),
    "copy": lambda prompt, answer, text: prompt == answer and within(answer, text),
    "deshuffle": lambda prompt, answer, text: (
        answer == sorted(prompt, key=text.index) and within(answer, text)
    ),
    "infill": lambda prompt, answer, text: within(filled(prompt, answer), text),
    "autoencode": lambda prompt, answer, text: {*left(prompt)} < {*answer} and within(answer, text),
    "selective-copy": lambda prompt, answer, text: selected(prompt) == answer,
}


@given(objective=st.sampled_from(GRID), seed=st.integers(0, 1000))
def test_every_answer_can_be_made_of_its_prompt_or_of_the_text(objective, seed):
    texts, _, read = written(objective, seed)
    for text, row in zip(texts, read, strict=True):
        assert row
        for kind, prompt, answer in row:
            assert kind == objective.kind
            assert ORACLES[kind](prompt, answer, text)


def test_what_is_left_of_a_text_keeps_its_order_unless_it_is_shuffled():
    for objective in GRID:
        if objective.kind == "autoencode":
            read = [sample for row in written(objective)[2] for sample in row]
            ordered = [left(p) == [t for t in a if t in left(p)] for _, p, a in read]
            assert all(ordered) != objective.shuffle


def test_a_prefix_is_three_quarters_of_a_text():
    for row in written(GRID[1])[2]:
        for _, prompt, answer in row:
            assert len(prompt) == int(0.75 * len(prompt + answer))


@given(objective=st.sampled_from(GRID), seed=st.integers(0, 1000), size=st.integers(96, 400))
def test_a_target_stands_on_the_position_before_its_token(objective, seed, size):
    _, batch, read = written(objective, seed, size)
    assert batch.inputs.shape == batch.targets.shape == (4, size)
    for inputs, targets, n in zip(batch.inputs, batch.targets, batch.lengths, strict=True):
        asked = targets[: n - 1] != IGNORED
        assert torch.equal(targets[: n - 1][asked], inputs[1:n][asked])
        assert (targets[n:] == IGNORED).all()
    assert sum(len(answer) for row in read for *_, answer in row) == (
        (batch.targets != IGNORED).sum()
    )


@pytest.mark.parametrize("masked", [0.05, 0.15, 0.5, 0.9])
@pytest.mark.parametrize("span", [1, 3, 32])
def test_as_much_is_missing_as_was_asked_for(masked, span):
    objective = Infilling(shares=(0.25, 0.5), masked=masked, span=span)
    for row in written(objective)[2]:
        for _, prompt, answer in row:
            whole, gone = filled(prompt, answer), [t for t in answer if t < VOCABULARY]
            assert len(gone) == max(1, round(masked * len(whole)))
            gaps = prompt.count(VOCABULARY + GAP)
            most = len(whole) - len(gone) + 1
            assert gaps == max(1, min(round(len(gone) / span), most))


@pytest.mark.parametrize("count", [1, 4])
def test_several_spans_are_found_at_once(count):
    objective = SelectiveCopying(shares=(0.5, 0.6), count=count)
    for row in written(objective)[2]:
        found = {prompt.count(VOCABULARY + START) for _, prompt, _ in row}
        assert max(found) == count
        assert min(found) == 1 or count > 1


def test_the_same_texts_and_stream_make_the_same_rows():
    for objective in GRID:
        first, again = written(objective)[1], written(objective)[1]
        assert torch.equal(first.inputs, again.inputs)
        assert torch.equal(first.targets, again.targets)


@given(objective=st.sampled_from(GRID), length=st.integers(LEAST, 30))
def test_short_texts_make_whole_rows(objective, length):
    _, batch, read = written(objective, text=list(range(length)))
    assert batch.lengths.min() > 150
    assert all(read)


@pytest.mark.parametrize("name", MIXTURES)
def test_the_shares_of_a_mixture_are_one(name):
    assert sum(MIXTURES[name].values()) == pytest.approx(1)


def test_fixed_ratios_give_each_class_the_same_share():
    shares = MIXTURES["fixed"]
    for kind in KINDS:
        assert sum(v for o, v in shares.items() if o.kind == kind) == pytest.approx(1 / len(KINDS))
    assert SYMBOLS == MARKS + 7
