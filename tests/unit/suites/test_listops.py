"""ListOps: against a recursive reading of its rules, and the ladder of its shortcuts."""

import random
from statistics import median

import numpy as np
import pytest
import torch

from harness.core.seeding import stream
from suites._trees import CLOSE, DIGIT, OPERATOR, OPERATORS, Expressions, Rules, drawn
from suites.lra.listops import RULES, ListOps, evaluated

Node = int | list["int | list"]
MEANING = {
    "MIN": min,
    "MAX": max,
    "MED": lambda values: int(median(values)),
    "SM": lambda values: sum(values) % 10,
}
MODAL = {"MIN": 0, "MAX": 9, "MED": 4, "SM": 5}


def parsed(tokens: list[int]) -> list:
    """Read an expression into nested lists, each with its operator's name first."""
    stack: list[list] = [[]]
    for token in tokens:
        if token == CLOSE:
            done = stack.pop()
            stack[-1].append(done)
        elif token >= OPERATOR:
            stack.append([OPERATORS[token - OPERATOR]])
        else:
            stack[-1].append(token - DIGIT)
    [[root]] = stack
    return root


def value(node: Node, levels: int) -> int:
    """Evaluate so many levels, and guess deeper ones from their operator."""
    if isinstance(node, int):
        return node
    if levels == 0:
        return MODAL[node[0]]
    return MEANING[node[0]]([value(child, levels - 1) for child in node[1:]])


def many(count: int) -> tuple[list[list], Expressions]:
    own, parts = np.random.default_rng(3), []
    while sum(len(part.lengths) for part in parts) < count:
        parts.append(drawn(512, RULES, own))
    whole = Expressions(
        *(np.concatenate(column) for column in zip(*map(astuple, parts), strict=True))
    )
    ends = np.cumsum(whole.lengths)[:-1]
    return [parsed(row.tolist()) for row in np.split(whole.tokens, ends)], whole


def astuple(part: Expressions) -> tuple:
    return part.tokens, part.lengths, part.values, part.roots


@pytest.fixture(scope="module")
def sample() -> tuple[list[list], Expressions]:
    return many(6000)


def test_the_value_written_is_the_value_of_the_expression(sample) -> None:
    trees, whole = sample
    assert [value(tree, 99) for tree in trees] == whole.values.tolist()
    assert [OPERATORS.index(tree[0]) for tree in trees] == whole.roots.tolist()


def test_trees_are_as_deep_and_wide_as_the_rules_allow(sample) -> None:
    def depth(node: Node) -> int:
        return 1 if isinstance(node, int) else 1 + max(map(depth, node[1:]))

    def widths(node: Node) -> list[int]:
        if isinstance(node, int):
            return []
        return [len(node) - 1, *(width for child in node[1:] for width in widths(child))]

    trees, _ = sample
    assert max(map(depth, trees[:500])) == 10
    assert {width for tree in trees[:500] for width in widths(tree)} == set(range(2, 11))


def test_lengths_are_strictly_between_the_bounds_and_as_a_plain_recursion_has_them(sample) -> None:
    def length(depth: int) -> int:
        if depth == 10 or chance.random() > 0.25:
            return 1
        return 2 + sum(length(depth + 1) for _ in range(chance.randint(2, 10)))

    chance, lengths = random.Random(5), sample[1].lengths
    plain: list[int] = []
    while len(plain) < 3000:
        found = length(1)
        plain += [found] if 500 < found < 2000 else []

    assert 500 < lengths.min() <= lengths.max() < 2000
    error = np.std(plain) * (1 / len(plain) + 1 / len(lengths)) ** 0.5
    assert abs(np.mean(plain) - lengths.mean()) < 4 * error


def test_labels_have_the_histogram_of_the_published_generator(sample) -> None:
    share = np.bincount(sample[1].values, minlength=10) / len(sample[1].values)

    assert share[0] == pytest.approx(0.174, abs=0.015)
    assert share[9] == pytest.approx(0.174, abs=0.015)
    assert ((share[1:9] > 0.06) & (share[1:9] < 0.105)).all()


def test_shortcuts_reach_the_rungs_that_the_task_states(sample) -> None:
    trees, whole = sample
    n = len(trees)
    by_root = [np.bincount(whole.values[whole.roots == o], minlength=10).max() for o in range(4)]
    top = sum(value(tree, 1) == v for tree, v in zip(trees, whole.values, strict=True)) / n

    assert sum(by_root) / n == pytest.approx(ListOps.shortcuts["root operator"], abs=0.02)
    assert top == pytest.approx(ListOps.shortcuts["top level"], abs=0.02)


def test_small_trees_are_evaluated_too() -> None:
    rules = Rules(deepest=3, arguments=3, shorter=0, longer=40)
    found = drawn(200, rules, np.random.default_rng(1))
    rows = np.split(found.tokens, np.cumsum(found.lengths)[:-1])

    assert len(rows) == 200
    assert [evaluated(row.tolist()) for row in rows] == found.values.tolist()
    assert [value(parsed(row.tolist()), 9) for row in rows] == found.values.tolist()


def test_a_sample_is_padded_on_the_right_to_its_longest_expression() -> None:
    batch = ListOps().sample(5, stream("listops"))
    assert batch.lengths is not None

    assert batch.inputs.shape == (5, int(batch.lengths.max()))
    assert torch.equal((batch.inputs != 0).sum(1), batch.lengths)
    assert (batch.inputs[torch.arange(5), batch.lengths - 1] == CLOSE).all()


def test_what_the_head_reads_changes_no_tree() -> None:
    assert ListOps(pool="first").key == ListOps().key
