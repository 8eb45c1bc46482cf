"""Random ListOps expressions, many at a time, level by level.

The rules are those of the generator of Long Range Arena (arXiv 2011.04006), for whole batches: a
tree is never an object, only its nodes stand in arrays, one group of arrays a level. Conditioned on
the root being an operator, since a single digit is always too short.

Axes: n nodes of a level, over all trees of a batch; t tokens.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

OPERATORS = ("MIN", "MAX", "MED", "SM")
PAD, DIGIT, OPERATOR, CLOSE = 0, 1, 11, 15
"""Token ids: the padding, the digit 0, the first operator, the closing bracket."""
NESTED = 0.25
"""Probability that an argument above the deepest level is an expression and no digit."""


@final
@dataclass(frozen=True)
class Rules:
    """What is drawn and what is kept."""

    deepest: int
    """Level at which only digits stand; the root is at level 1."""
    arguments: int
    """Most arguments of an operator; at least two."""
    shorter: int
    """Only expressions with more tokens than this..."""
    longer: int
    """... and with fewer than this are kept."""


@dataclass
class Level:
    """The nodes of one depth, in the order of their parents, arguments in order."""

    tree: Ints
    parent: Ints
    """Index among the nodes of the level above."""
    nested: NDArray[np.bool_]
    """Which are operators."""
    content: Ints
    """The digit, or the operator's number."""
    length: Ints
    """Tokens of the subtree."""
    value: Ints


@dataclass(frozen=True)
class Expressions:
    """Accepted expressions, all of them end to end."""

    tokens: Ints
    lengths: Ints
    values: Ints
    """0 to 9."""
    roots: Ints
    """The number of each root's operator."""


def drawn(count: int, rules: Rules, rng: np.random.Generator) -> Expressions:
    """Draw so many trees and return those that the rules keep; about a third of LRA's."""
    levels, sizes = grown(count, rules, rng)
    evaluated(levels)
    return written(levels, (sizes > rules.shorter) & (sizes < rules.longer))


def grown(count: int, rules: Rules, rng: np.random.Generator) -> tuple[list[Level], Ints]:
    """Draw the nodes from the roots down, and count the tokens of each tree.

    A tree that has become too long grows no further; its count says so.
    """
    zeros = np.zeros(count, np.int64)
    nested = np.ones(count, bool)
    levels = [level(np.arange(count), zeros, nested, rng)]
    sizes = np.full(count, 2)
    while (above := levels[-1]).nested.any():
        operators = np.flatnonzero(above.nested)
        arguments = rng.integers(2, rules.arguments + 1, len(operators))
        np.add.at(sizes, above.tree[operators], arguments)
        growing = sizes[above.tree[operators]] < rules.longer
        parent = np.repeat(operators[growing], arguments[growing])
        last = len(levels) + 1 >= rules.deepest
        nested = rng.random(len(parent)) < (0 if last else NESTED)
        levels.append(level(above.tree[parent], parent, nested, rng))
        np.add.at(sizes, levels[-1].tree[nested], 1)
    return levels, sizes


def level(tree: Ints, parent: Ints, nested: NDArray[np.bool_], rng: np.random.Generator) -> Level:
    """Draw what stands at the nodes of a level."""
    digits, operators = rng.integers(10, size=len(tree)), rng.integers(4, size=len(tree))
    content = np.where(nested, operators, digits)
    return Level(tree, parent, nested, content, np.where(nested, 2, 1), content.copy())


def evaluated(levels: list[Level]) -> None:
    """Fill in lengths and values from the deepest level up."""
    for above, below in zip(levels[-2::-1], levels[:0:-1], strict=True):
        np.add.at(above.length, below.parent, below.length)
        operators, starts = np.unique(below.parent, return_index=True)
        above.value[operators] = results(above.content[operators], below, starts)


def results(operators: Ints, below: Level, starts: Ints) -> Ints:
    """Apply each operator to its arguments, which begin at `starts` among the nodes below.

    MED is the median, rounded down; SM the sum modulo 10.
    """
    values = below.value[np.lexsort((below.value, below.parent))]
    counts = np.diff([*starts, len(values)])
    middle = (values[starts + (counts - 1) // 2] + values[starts + counts // 2]) // 2
    total = np.add.reduceat(values, starts) % 10
    return np.choose(operators, [values[starts], values[starts + counts - 1], middle, total])


def written(levels: list[Level], kept: NDArray[np.bool_]) -> Expressions:
    """Write the kept trees end to end: operator, arguments, closing bracket."""
    root = levels[0]
    tokens = np.zeros(root.length[kept].sum(), np.int64)
    for nodes, places in zip(levels, placed(levels, kept), strict=True):
        mine = kept[nodes.tree]
        own, nested = places[mine], nodes.nested[mine]
        tokens[own] = nodes.content[mine] + np.where(nested, OPERATOR, DIGIT)
        tokens[own[nested] + nodes.length[mine][nested] - 1] = CLOSE
    return Expressions(tokens, root.length[kept], root.value[kept], root.content[kept])


def placed(levels: list[Level], kept: NDArray[np.bool_]) -> list[Ints]:
    """Return for each level where its nodes' tokens begin; only kept trees have a place."""
    lengths = np.where(kept, levels[0].length, 0)
    found = [np.cumsum(lengths) - lengths]
    for nodes in levels[1:]:
        found.append(first_tokens(nodes, found[-1]))
    return found


def first_tokens(nodes: Level, above: Ints) -> Ints:
    """Return where each node's tokens begin: behind its parent's first and its elder siblings."""
    before = np.cumsum(nodes.length) - nodes.length
    _, starts, number = np.unique(nodes.parent, return_index=True, return_inverse=True)
    places: Ints = above[nodes.parent] + 1 + before - before[starts][number]
    return places
