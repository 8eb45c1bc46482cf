"""Finite groups by name, as permutations of points: symmetric, alternating, dihedral, cyclic ones.

`s5`, `a5`, `d8` (16 elements: turns and flips of an octagon), `c60`, and products such as `a4xc5`,
whose factors permute points of their own.

Axes: g elements of the group, t generators.
"""

import re
from functools import cache
from itertools import permutations, product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harness.api import SpecError

Permutation = tuple[int, ...]
FACTOR = re.compile(r"([sadc])([1-9]\d?)")
LEAST = {"s": 2, "a": 3, "d": 3, "c": 2}
MOST = {"s": 5, "a": 5, "d": 60, "c": 60}
LARGEST = 120
"""Elements, so that a label is learnt from a few hundred batches."""


@cache
def elements(group: str) -> tuple[Permutation, ...]:
    """Return a group's permutations in lexicographic order, the identity first.

    Raises:
        SpecError: No group is called that, or it is too large.
    """
    found: list[Permutation] = [()]
    for kind, points in factors(group):
        found = [joined(a, b) for a, b in product(found, factor(kind, points))]
        if len(found) > LARGEST:
            raise SpecError(f"The group {group!r} has more than {LARGEST} elements.")
    return tuple(sorted(found))


@cache
def generators(group: str) -> Int[Tensor, " t"]:
    """Return the names of the identity and of a few elements that make all others.

    Swaps of neighbours of `s`, turns of three neighbours of `a`, the turn and the flip of `d`, the
    turn of `c`. The identity is among them, so that after any number of steps all can be reached.
    """
    names = {element: name for name, element in enumerate(elements(group))}
    sizes = [points for _, points in factors(group)]
    found = {0}
    for place, (kind, points) in enumerate(factors(group)):
        for own in steps(kind, points):
            parts = [tuple(range(size)) for size in sizes]
            parts[place] = own
            whole: Permutation = ()
            for part in parts:
                whole = joined(whole, part)
            found.add(names[whole])
    return torch.tensor(sorted(found))


@cache
def multiplication(group: str) -> Int[Tensor, "g g"]:
    """Return the table of products: row the factor that acts first, column the second."""
    every = elements(group)
    names = {element: name for name, element in enumerate(every)}
    rows = [[names[tuple(b[point] for point in a)] for b in every] for a in every]
    return torch.tensor(rows)


@cache
def spread(group: str, length: int) -> Float[Tensor, "l g"]:
    """Return how likely each element is after 1 to `length` generators drawn uniformly."""
    table, chosen = multiplication(group), generators(group)
    likely = torch.zeros(len(table), dtype=torch.float64)
    likely[0] = 1
    found = []
    for _ in range(length):
        moved = torch.zeros_like(likely)
        for generator in chosen:
            moved[table[:, generator]] += likely / len(chosen)
        likely = moved
        found.append(likely)
    return torch.stack(found)


def factors(group: str) -> list[tuple[str, int]]:
    """Return the kind and the points of each factor of a product."""
    parts = [FACTOR.fullmatch(part) for part in group.split("x")]
    known = [(part[1], int(part[2])) for part in parts if part]
    if len(known) < len(parts) or not all(LEAST[k] <= n <= MOST[k] for k, n in known):
        raise SpecError(
            f"The group must be such as s3 to s5, a3 to a5, d3 to d60, c2 to c60, or a product "
            f"such as a4xc5, not {group!r}."
        )
    return known


def factor(kind: str, points: int) -> list[Permutation]:
    """Return the permutations of one factor."""
    if kind in "sa":
        every = permutations(range(points))
        return [p for p in every if kind == "s" or inversions(p) % 2 == 0]
    turns = [tuple((start + i) % points for i in range(points)) for start in range(points)]
    return turns if kind == "c" else [*turns, *(turn[::-1] for turn in turns)]


def steps(kind: str, points: int) -> list[Permutation]:
    """Return generators of one factor."""
    if kind in "sa":
        width = 2 if kind == "s" else 3
        return [turned(points, first, width) for first in range(points - width + 1)]
    turn = turned(points, 0, points)
    return [turn] if kind == "c" else [turn, tuple(range(points))[::-1]]


def turned(points: int, first: int, width: int) -> Permutation:
    """Return the permutation that moves so many neighbours on by one, the last one to the front."""
    own = [*range(points)]
    block = own[first : first + width]
    own[first : first + width] = [*block[1:], block[0]]
    return tuple(own)


def joined(a: Permutation, b: Permutation) -> Permutation:
    """Let two permutations act on points of their own."""
    return (*a, *(len(a) + point for point in b))


def inversions(permutation: Permutation) -> int:
    """Count the pairs that stand in the wrong order."""
    pairs = [(a, b) for i, a in enumerate(permutation) for b in permutation[i + 1 :]]
    return sum(a > b for a, b in pairs)
