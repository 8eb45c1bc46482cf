"""ListOpsSubTrees: against a recursive reading of its rules, and the published statistics."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import IGNORED, SpecError
from harness.core.seeding import stream
from suites._trees import CLOSE, DIGIT, OPERATOR, PAD, Rules, drawn, evaluated, written
from suites.synthetic import _chosen_trees
from suites.synthetic._chosen_trees import kept_trees
from suites.synthetic.listops_subtrees import ListOpsSubTrees

LONG = Rules(deepest=15, arguments=9, shorter=7000, longer=8180)
MODAL = [0, 9, 4, 8]
"""The commonest value of each operator: MIN, MAX, MED, SM."""


def results(operator: int, values: list[int]) -> int:
    """Apply an operator by its definition."""
    ordered = sorted(values)
    middle = (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
    return [ordered[0], ordered[-1], int(middle), sum(values) % 10][operator]


def read(tokens: list[int], labels: list[int]) -> list[tuple[int, list, int]]:
    """Return (operator, arguments, label) of every subexpression, the root last.

    An argument is a digit, or the place of its subexpression in what is returned, from -1 down.
    """
    stack: list[list] = [[]]
    found: list[tuple[int, list, int]] = []
    for token, label in zip(tokens, labels, strict=True):
        if token == CLOSE:
            operator, *arguments = stack.pop()
            found.append((operator, arguments, label))
            stack[-1].append(-len(found))
        elif token >= OPERATOR:
            stack.append([token - OPERATOR])
        else:
            stack[-1].append(token - DIGIT)
        assert (label != IGNORED) == (token == CLOSE)
    assert len(stack) == 1
    assert len(stack[0]) == 1
    return found


@settings(max_examples=20)
@given(st.integers(2, 6), st.integers(2, 10), st.integers(0, 2**32))
def test_every_bracket_carries_the_value_of_what_it_closes(
    deepest: int, arguments: int, seed: int
) -> None:
    task = ListOpsSubTrees(shorter=3, longer=60, deepest=deepest, arguments=arguments)
    batch = task.sample(20, stream(seed))
    assert batch.lengths is not None
    rows = zip(batch.inputs, batch.targets, batch.lengths.tolist(), strict=True)
    for tokens, labels, length in rows:
        assert set(tokens[length:].tolist()) <= {PAD}
        assert set(labels[length:].tolist()) <= {IGNORED}
        nodes = read(tokens[:length].tolist(), labels[:length].tolist())
        depths = [0] * len(nodes)
        for place, (operator, inside, label) in enumerate(nodes):
            values = [x if x >= 0 else nodes[-x - 1][2] for x in inside]
            depths[place] = 1 + max((depths[-x - 1] for x in inside if x < 0), default=1)
            assert label == results(operator, values)
            assert 2 <= len(inside) <= arguments
        assert depths[-1] <= deepest
        assert 3 < length < 60


def test_sizes_are_those_of_trees_that_are_drawn_node_by_node() -> None:
    """Of all trees, kept or not: how many are kept, and how long these are."""
    rules = Rules(deepest=7, arguments=5, shorter=20, longer=120)
    own = np.random.default_rng(2)
    plain = drawn(40_000, rules, own)
    _, sizes = _chosen_trees.counted(rules, own)
    kept = sizes[(sizes > rules.shorter) & (sizes < rules.longer)]
    share, plain_share = len(kept) / len(sizes), len(plain.lengths) / 40_000

    assert share == pytest.approx(plain_share, abs=4 * (plain_share / len(sizes)) ** 0.5)
    error = np.std(kept) * (1 / len(kept) + 1 / len(plain.lengths)) ** 0.5
    assert abs(kept.mean() - plain.lengths.mean()) < 4 * error


def test_where_operators_stand_and_what_they_take_is_as_in_a_plain_recursion() -> None:
    """Small trees as text: each has the frequency with which a recursion writes it."""

    def skeleton(depth: int) -> str:
        if depth == 3 or chance.random() > 0.25:
            return "."
        return "[" + "".join(skeleton(depth + 1) for _ in range(chance.randint(2, 3))) + "]"

    chance, own = random.Random(1), np.random.default_rng(1)
    rules = Rules(deepest=3, arguments=3, shorter=4, longer=12)
    plain, ours = [], []
    while len(plain) < 20_000:
        text = skeleton(1)
        plain += [text] if 4 < len(text) < 12 else []
    while len(ours) < 20_000:
        levels = kept_trees(rules, own)
        evaluated(levels)
        whole = written(levels, np.ones(len(levels[0].tree), bool))
        signs = np.array(list("_" + "." * 10 + "[" * 4 + "]"))[whole.tokens]
        ours += ["".join(row) for row in np.split(signs, np.cumsum(whole.lengths)[:-1])]

    kinds = sorted({*plain, *ours})
    assert len(kinds) > 10
    for kind in kinds:
        share = plain.count(kind) / len(plain)
        assert ours.count(kind) / len(ours) == pytest.approx(share, abs=5 * (share / 2e4) ** 0.5)


def test_the_long_set_has_the_published_statistics() -> None:
    """Authors' validation split: 7,548 tokens on average, deviation 333, 1,156 labels."""
    own, lengths, labels = np.random.default_rng(4), [], []
    while len(lengths) < 300:
        levels = kept_trees(LONG, own)
        evaluated(levels)
        lengths += levels[0].length.tolist()
        nested = sum(np.bincount(each.tree, each.nested, len(levels[0].tree)) for each in levels)
        labels += nested.tolist()

    assert min(lengths) > 7000
    assert max(lengths) < 8180
    assert np.mean(lengths) == pytest.approx(7548, abs=4 * 333 / len(lengths) ** 0.5)
    assert np.std(lengths) == pytest.approx(333, rel=0.15)
    assert np.mean(labels) == pytest.approx(1156, rel=0.01)


def test_subexpressions_are_as_high_as_in_the_published_set() -> None:
    """Shares of the labels by height, from 1 on, as the paper's figure has them (rounded)."""
    shares = [0.463, 0.207, 0.116, 0.072, 0.047, 0.032, 0.022, 0.015, 0.010, 0.007, 0.005, 0.003]
    levels, heights = kept_trees(LONG, np.random.default_rng(5)), []
    above = np.zeros(len(levels[-1].tree), np.int64)
    for level, below in zip(levels[-2::-1], levels[:0:-1], strict=True):
        height = np.zeros(len(level.tree), np.int64)
        np.maximum.at(height, below.parent, above + 1)
        heights += height[level.nested].tolist()
        above = height
    found = np.bincount(heights)[1 : len(shares) + 1] / len(heights)

    np.testing.assert_allclose(found, shares, atol=0.003)


def test_shortcuts_reach_the_rungs_that_the_task_states() -> None:
    batch = ListOpsSubTrees().sample(150, stream("rungs"))
    operators, labels, rung = [], [], []
    assert batch.lengths is not None
    for tokens, targets, n in zip(batch.inputs, batch.targets, batch.lengths, strict=True):
        nodes = read(tokens[:n].tolist(), targets[:n].tolist())
        for operator, inside, label in nodes:
            values = [x if x >= 0 else MODAL[nodes[-x - 1][0]] for x in inside]
            rung.append(results(operator, values) == label)
            operators.append(operator)
            labels.append(label)
    counts = np.zeros((4, 10))
    np.add.at(counts, (operators, labels), 1)

    rungs = ListOpsSubTrees().shortcuts
    assert counts.sum(0).max() / len(labels) == pytest.approx(ListOpsSubTrees().chance, abs=0.01)
    assert counts.max(1).sum() / len(labels) == pytest.approx(rungs["own operator"], abs=0.01)
    assert np.mean(rung) == pytest.approx(rungs["one level"], abs=0.01)


def test_chance_and_shortcuts_are_those_of_the_options() -> None:
    long = ListOpsSubTrees(shorter=7000, longer=8180, deepest=15, arguments=9)
    other = ListOpsSubTrees(shorter=20, longer=60, deepest=3)

    assert long.chance == 0.140
    assert long.shortcuts == {"own operator": 0.299, "one level": 0.778}
    assert other.shortcuts["own operator"] < other.shortcuts["one level"]
    assert other.shortcuts["one level"] > ListOpsSubTrees().shortcuts["one level"] + 0.02


@pytest.mark.parametrize("options", [{}, {"shorter": 20, "longer": 60}])
def test_what_shortcuts_answer_scores_what_is_stated(options: dict[str, int]) -> None:
    task = ListOpsSubTrees(**options)
    batch = task.sample(150, stream("ways"))

    for name, predictions in task.shortcut_predictions(batch).items():
        figures = task.outputs.per_example(predictions, batch.targets)
        found = task.outputs.score(figures, 150)["accuracy"]
        assert found == pytest.approx(task.shortcuts[name], abs=0.04)


def test_expressions_of_other_lengths_can_be_drawn() -> None:
    batch = ListOpsSubTrees(shorter=400, longer=512).sample(8, stream("512"))
    assert batch.lengths is not None

    assert 400 < batch.lengths.min() <= batch.lengths.max() < 512
    assert torch.equal((batch.inputs == CLOSE), batch.targets != IGNORED)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shorter": 1999}, r"shorter \+ 2 <= longer, not shorter=1999, longer=2000"),
        ({"shorter": 0, "longer": 4}, "'longer' must be at least 5, not 4"),
        ({"arguments": 1}, "'arguments' must be at least 2, not 1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        ListOpsSubTrees(**options)


def test_lengths_that_no_tree_has_are_refused() -> None:
    with pytest.raises(SpecError, match=r"of at most 2 levels .* more than 1500 and fewer"):
        ListOpsSubTrees(deepest=2).sample(1, stream("flat"))
