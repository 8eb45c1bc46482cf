"""Random ListOps expressions of rare lengths: sizes first, and only what is kept is filled in.

Of the trees that the published rules draw, about one in sixty is as long as the longest set wants
it. How long a tree becomes needs only counts: for each level how many operators there are, and how
many of them take two, three, ... arguments. So the counts are drawn for many trees at once, and the
nodes of those that the rules keep, given their counts: the same distribution as of drawing every
node.

Axes: n trees, a numbers of arguments from 2 on, l tokens of a tree.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from harness.api import IGNORED, SpecError
from suites._trees import NESTED, Ints, Level, Rules, evaluated, level, placed, written

MANY = 4096
"""Trees whose counts are drawn at once."""
ROUNDS = 64
"""After as many times without one that is kept, the rules are refused."""


@dataclass(frozen=True)
class Counts:
    """The operators of one level, tree by tree."""

    arities: Ints
    """(n, a): how many take so many arguments."""
    nested: Ints
    """(n,): how many of all their arguments are operators."""


def kept_trees(rules: Rules, rng: np.random.Generator) -> list[Level]:
    """Draw the counts of many trees, and return the nodes of those whose length is right.

    Lengths and values are not filled in.

    Raises:
        SpecError: Almost no tree has such a length.
    """
    for _ in range(ROUNDS):
        levels, sizes = counted(rules, rng)
        kept = (sizes > rules.shorter) & (sizes < rules.longer)
        if kept.any():
            return filled([Counts(each.arities[kept], each.nested[kept]) for each in levels], rng)
    raise SpecError(
        f"Hardly an expression of at most {rules.deepest} levels and {rules.arguments} arguments "
        f"has more than {rules.shorter} and fewer than {rules.longer} tokens; change one of them."
    )


def counted(rules: Rules, rng: np.random.Generator) -> tuple[list[Counts], Ints]:
    """Draw the counts from the roots down, and the number of tokens of each tree.

    A tree that has become too long grows no further; its number says so.
    """
    takes = np.arange(2, rules.arguments + 1)
    operators, sizes = np.ones(MANY, np.int64), np.full(MANY, 2)
    levels: list[Counts] = []
    while operators.any():
        arities = rng.multinomial(operators, np.full(len(takes), 1 / len(takes)))
        arguments = arities @ takes
        last = len(levels) + 2 >= rules.deepest
        nested = rng.binomial(arguments, 0 if last else NESTED)
        levels.append(Counts(arities, nested))
        sizes += arguments + nested
        operators = np.where(sizes < rules.longer, nested, 0)
    return levels, sizes


def filled(counts: list[Counts], rng: np.random.Generator) -> list[Level]:
    """Draw nodes that have the counts, every arrangement being as likely as every other."""
    n, a = counts[0].arities.shape
    trees = np.arange(n)
    levels = [level(trees, np.zeros(n, np.int64), np.ones(n, bool), rng)]
    for each in counts:
        above = levels[-1]
        operators = np.flatnonzero(above.nested)
        takes = np.repeat(np.tile(np.arange(2, a + 2), n), each.arities.ravel())
        parent = np.repeat(operators, takes[shuffled(above.tree[operators], rng)])
        tree = above.tree[parent]
        starts = np.searchsorted(tree, trees)
        nested = np.zeros(len(tree), bool)
        rank = np.arange(len(tree)) - starts[tree]
        nested[shuffled(tree, rng)] = rank < each.nested[tree]
        levels.append(level(tree, parent, nested, rng))
    return levels


def shuffled(tree: Ints, rng: np.random.Generator) -> Ints:
    """Return an order that shuffles what belongs to the same tree; trees stand in order."""
    return np.argsort(tree + rng.random(len(tree)), kind="stable")


def labelled(
    levels: list[Level],
) -> list[tuple[Int[torch.Tensor, " l"], Int[torch.Tensor, " l"]]]:
    """Return the tokens of each tree, and their labels: a value at each closing bracket."""
    evaluated(levels)
    every = np.ones(len(levels[0].tree), bool)
    whole = written(levels, every)
    labels = np.full_like(whole.tokens, IGNORED)
    for nodes, places in zip(levels, placed(levels, every), strict=True):
        ends = (places + nodes.length - 1)[nodes.nested]
        labels[ends] = nodes.value[nodes.nested]
    sizes = whole.lengths.tolist()
    tokens, values = torch.from_numpy(whole.tokens), torch.from_numpy(labels)
    return list(zip(tokens.split(sizes), values.split(sizes), strict=True))
