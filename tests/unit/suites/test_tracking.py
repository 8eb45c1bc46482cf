"""Running products, group by group, and copies: against the plain definitions."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import IGNORED, Protocol, SpecError
from harness.core.seeding import stream
from suites.tracking._groups import elements, generators, inversions, multiplication, spread
from suites.tracking.copying import BAR, BEGIN, END, LETTERS, Copying
from suites.tracking.modular_sum import ModularSum
from suites.tracking.parity import Parity
from suites.tracking.word_problem import WordProblem

SEEDS = st.integers(0, 2**32)


@given(st.integers(1, 50), SEEDS)
def test_parity_counts_the_ones_so_far(length: int, seed: int) -> None:
    batch = Parity(length=length).sample(2, stream(seed))
    for bits, labels in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert labels == [sum(bits[: i + 1]) % 2 for i in range(length)]


@given(st.integers(2, 60), SEEDS)
def test_sums_are_taken_modulo_m(modulus: int, seed: int) -> None:
    batch = ModularSum(length=20, modulus=modulus).sample(2, stream(seed))
    for numbers, labels in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert labels == [sum(numbers[: i + 1]) % modulus for i in range(20)]


COMMUTATIVE = {"c2": 2, "c60": 60, "c2xc2xc2": 8, "c3xc4": 12}
GROUPS = {
    "s3": 6,
    "a4": 12,
    "s4": 24,
    "a5": 60,
    "s5": 120,
    "d3": 6,
    "d8": 16,
    "d60": 120,
    "a4xc5": 60,
    "s3xc4": 24,
    **COMMUTATIVE,
}


@pytest.mark.parametrize(("group", "order"), GROUPS.items())
def test_a_table_of_products_is_a_groups(group: str, order: int) -> None:
    table, every = multiplication(group), torch.arange(order)

    assert table.shape == (order, order)
    assert torch.equal(table[0], every)
    assert torch.equal(table[:, 0], every)
    assert torch.equal(table.sort(1).values, every.expand(order, order))
    assert torch.equal(table.sort(0).values, every[:, None].expand(order, order))
    a, b, c = torch.randint(order, (3, 500), generator=stream("associative"))
    assert torch.equal(table[table[a, b], c], table[a, table[b, c]])
    assert torch.equal(table, table.T) == (group in COMMUTATIVE)


@pytest.mark.parametrize("group", GROUPS)
def test_generators_reach_every_element_and_few_are_enough(group: str) -> None:
    table, chosen = multiplication(group), generators(group)
    reached = {0}
    while len(more := reached | set(table[[*reached]][:, chosen].flatten().tolist())) > len(
        reached
    ):
        reached = more

    assert len(reached) == GROUPS[group]
    assert 0 in chosen.tolist()
    assert len(chosen) <= 5


@given(st.sampled_from(["s3", "d5", "c6", "a4xc2"]), st.integers(1, 12), SEEDS)
def test_words_of_generators_are_made_of_them_and_multiplied(group, length, seed) -> None:
    task = WordProblem(group=group, letters="generators", length=length)
    batch = task.sample(2, stream(seed))

    assert {*batch.inputs.flatten().tolist()} <= {*generators(group).tolist()}
    assert torch.equal(task.products(batch.inputs), batch.targets)


def test_what_is_commonest_of_generators_is_what_is_counted() -> None:
    task = WordProblem(group="c6", letters="generators", length=8)
    targets = task.sample(40_000, stream("commonest")).targets
    counts = torch.nn.functional.one_hot(targets, 6).double().mean(0)

    torch.testing.assert_close(spread("c6", 8), counts, atol=0.01, rtol=0)
    assert task.chance == pytest.approx(counts.mean(0).max().item(), abs=0.01)
    way = {"usual answer at the place": counts.amax(1).mean().item()}
    assert task.shortcuts == pytest.approx(way, abs=0.01)


def test_a_curriculum_grows_in_eighths_and_stays() -> None:
    task = WordProblem(length=16, grows=24)
    lengths = [b.inputs.shape[1] for b, _ in zip(task.train_batches(2), range(30), strict=False)]

    assert lengths == [*(2 * (1 + batch // 3) for batch in range(24)), *(16,) * 6]
    assert next(Parity(length=3, grows=100).train_batches(2)).inputs.shape == (2, 1)
    plain, grown = (next(Parity(grows=grows).train_batches(4)) for grows in (0, 1))
    assert plain.inputs.shape[1] == 64
    assert grown.inputs.shape[1] == 8


def test_alternating_groups_hold_the_even_permutations() -> None:
    for name in ("a4", "a5"):
        assert all(inversions(element) % 2 == 0 for element in elements(name))
    assert inversions((2, 0, 1)) == 2


@given(SEEDS)
def test_words_are_multiplied_from_the_left(seed: int) -> None:
    task = WordProblem(length=9, group="s4")
    batch, group = task.sample(1, stream(seed)), elements("s4")
    product = tuple(range(4))
    for token, label in zip(batch.inputs[0].tolist(), batch.targets[0].tolist(), strict=True):
        product = tuple(group[token][point] for point in product)
        assert group[label] == product


@pytest.mark.parametrize("task", [Parity(length=8), WordProblem(length=8, group="a4")], ids=repr)
def test_longer_sequences_are_asked_too(task: Parity | WordProblem) -> None:
    further = task.evaluations()

    assert list(further) == ["length-16", "length-32"]
    for length, made in zip((16, 32), further.values(), strict=True):
        batch = made().batch
        assert batch.inputs.shape == batch.targets.shape == (1024, length)
        assert torch.equal(batch.targets, task.products(batch.inputs))
    assert torch.equal(further["length-16"]().batch.inputs, made_again(task))


def made_again(task: Parity | WordProblem) -> torch.Tensor:
    return task.evaluations()["length-16"]().batch.inputs


def told(task: Copying, seed: int) -> list[tuple[list[int], list[int]]]:
    """Return each example's input and, of its targets, what is labelled; both without padding."""
    batch = task.sample(4, stream(seed))
    assert batch.lengths is not None
    rows = zip(batch.inputs.tolist(), batch.targets.tolist(), batch.lengths.tolist(), strict=True)
    found = []
    for tokens, labels, size in rows:
        kept = [label for label in labels if label != IGNORED]
        assert labels[size - len(kept) : size] == kept
        assert tokens[size:] == [END] * (len(tokens) - size)
        # What is answered is fed back: each label is the next input.
        assert kept[:-1] == tokens[size - len(kept) + 1 : size]
        found.append((tokens[:size], kept))
    return found


@given(SEEDS)
def test_a_string_is_copied_behind_the_bar(seed: int) -> None:
    for tokens, answer in told(Copying(length=20), seed):
        bar = tokens.index(BAR)
        string = tokens[1:bar]

        assert tokens == [BEGIN, *string, BAR, *string]
        assert answer == [*string, END]
        assert 5 <= len(string) <= 20
        assert min(string) >= LETTERS


@given(SEEDS, st.integers(1, 3), st.sampled_from(["prefix", "suffix"]))
def test_a_piece_is_gone_on_from_where_it_first_stands(seed: int, piece: int, query: str) -> None:
    task = Copying(length=20, letters=3, piece=piece, query=query)
    for tokens, answer in told(task, seed):
        bars = [i for i, token in enumerate(tokens) if token == BAR]
        if query == "prefix":
            asked, string = tokens[1 : bars[0]], tokens[bars[0] + 1 : bars[1]]
        else:
            asked, string = tokens[bars[0] + 1 :][:piece], tokens[1 : bars[0]]
        first = next(i for i in range(20) if string[i : i + piece] == asked)

        assert len(asked) == piece
        assert answer == [*string[first + piece :], END]
        assert len(answer) > 1


def test_longer_strings_are_as_long_as_they_say() -> None:
    further = Copying(length=20).evaluations()

    assert list(further) == ["length-40", "length-80"]
    lengths = [made().batch.lengths for made in further.values()]
    assert [set(found.tolist()) for found in lengths if found is not None] == [{82}, {162}]


@pytest.mark.parametrize(
    ("recipe", "options", "sentence"),
    [
        (Parity, {"length": 0}, "'length' must be at least 1, not 0"),
        (WordProblem, {"group": "a6"}, "such as s3 to s5, a3 to a5, d3 to d60.* not 'a6'"),
        (WordProblem, {"group": "s4x"}, "not 's4x'"),
        (WordProblem, {"group": "s5xc2"}, "'s5xc2' has more than 120 elements"),
        (Parity, {"grows": -1}, "'grows' must be at least 0, not -1"),
        (ModularSum, {"modulus": 1}, "'modulus' must be at least 2, not 1"),
        (Copying, {"piece": 12}, r"4 \(piece \+ 1\) <= length, not piece=12, length=48"),
        (Copying, {"letters": 1}, "'letters' must be at least 2, not 1"),
    ],
)
def test_impossible_options_are_refused(recipe: type, options: dict, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        recipe(**options)


def test_every_probe_has_a_protocol_of_its_own() -> None:
    tasks = [Parity(), ModularSum(), WordProblem(), Copying()]

    assert all(isinstance(task.protocol, Protocol) for task in tasks)
    assert all(small < large for small, large in pairwise([t.size for t in tasks[:3]]))
