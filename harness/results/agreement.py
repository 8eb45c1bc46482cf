"""How far sources rank the same models alike on the same tasks: papers, and what was measured here.

Two scores of a source are told apart as a verdict tells a measured one from a published one: if
their intervals do not meet, where there are such, and if they differ by more than a point (errors:
5 %). So what counts against an agreement is a contradiction, and nothing else does. No torch.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

from harness.results.marks import Mark, Marks, Question, as_asked, copied, printed
from harness.results.published import Figure
from harness.results.rank_statistics import kendall_tau, tau_interval
from harness.results.statistics import POINT, Interval
from harness.results.verdicts import SHARE, Scored, overlap

ENOUGH = 4
"""Pairs of models from which on two sources are set beside each other."""
SOME = 3
"""Models from which on tau has an interval: of two it would hold the truth in six of seven."""


class Pair(NamedTuple):
    """What two sources say of two models on one task."""

    question: Question
    models: tuple[str, str]
    """Ours, with the options that a paper states; a paper's name, in lower case, if it is none."""
    first: tuple[Mark, Mark]
    """Of the first source."""
    second: tuple[Mark, Mark]
    """Of the second one, the same models in the same order."""

    @property
    def leads(self) -> tuple[float, float]:
        """By how many margins the first model leads in each source; 0 where it is not told."""
        return lead(self.question, *self.first), lead(self.question, *self.second)

    @property
    def product(self) -> int:
        """1 if both sources have the same order, -1 if they contradict each other, else 0."""
        first, second = self.leads
        return (first * second > 0) - (first * second < 0)

    @property
    def size(self) -> float:
        """By how many margins the source differs that is less sure of its order."""
        return min(map(abs, self.leads))


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far two sources rank alike."""

    first: str
    second: str
    pairs: Sequence[Pair]
    """All pairs of models on all tasks that both have."""

    @property
    def questions(self) -> list[Question]:
        """What both were asked of two models or more."""
        return list(dict.fromkeys(pair.question for pair in self.pairs))

    @property
    def models(self) -> list[str]:
        """The models that both have."""
        return sorted({model for pair in self.pairs for model in pair.models})

    @cached_property
    def alike(self) -> int:
        """Pairs that both have in the same order."""
        return sum(pair.product > 0 for pair in self.pairs)

    @cached_property
    def contradictions(self) -> list[Pair]:
        """Pairs that they have in opposite orders, the largest first."""
        found = [pair for pair in self.pairs if pair.product < 0]
        return sorted(found, key=lambda pair: -pair.size)

    @cached_property
    def tau(self) -> float | None:
        """Kendall's tau-b over the pairs; None if either source tells none of them apart."""
        first, second = (
            sum(map(bool, leads)) for leads in zip(*(p.leads for p in self.pairs), strict=True)
        )
        return kendall_tau(self.alike, len(self.contradictions), first, second)

    @property
    def interval(self) -> Interval | None:
        """Of the tau of all such models, 95 %; None of fewer than `SOME` or without a tau."""
        both, models = self.alike + len(self.contradictions), len(self.models)
        if self.tau is None or not both or models < SOME:
            return None
        return tau_interval(self.tau, min(models, both))


def lead(question: Question, one: Mark, other: Mark) -> float:
    """Return by how many margins a model is better than another; 0 if they are not told apart."""
    gap = round(one.score - other.score, 9)
    margin = POINT if question.share else SHARE * max(abs(one.score), abs(other.score))
    ends = [mark.interval or (mark.score, mark.score) for mark in (one, other)]
    if abs(gap) <= margin or overlap(*ends):
        return 0.0
    return (gap if question.higher_is_better else -gap) / margin


def agreements(
    figures: Iterable[Figure], measured: Mapping[str, Collection[Scored]]
) -> list[Agreement]:
    """Set every two sources beside each other that say enough of the same.

    Args:
        figures: What papers print.
        measured: What was measured, by what it is called.
    """
    papers = printed(figures)
    beside = [
        (name, paper, as_asked(found, marks), marks)
        for name, found in measured.items()
        for paper, marks in papers.items()
    ]
    beside += [(a, b, papers[a], papers[b]) for a, b in combinations(papers, 2)]
    found = [
        Agreement(first=first, second=second, pairs=list(_pairs(one, other)))
        for first, second, one, other in beside
    ]
    return [each for each in found if len(each.pairs) >= ENOUGH]


def _pairs(one: Marks, other: Marks) -> Iterator[Pair]:
    """Yield two models on a task that both sources have; what one has from the other is no witness.

    Nor is what both have from a third, which is then the same number.
    """
    for question in sorted(one.keys() & other.keys()):
        first, second = one[question], other[question]
        shared = [
            model for model in first if model in second and not copied(first[model], second[model])
        ]
        for a, b in combinations(sorted(shared), 2):
            yield Pair(question, (a, b), (first[a], first[b]), (second[a], second[b]))
