"""What sources say of models on tasks, so that it can be set beside each other. No torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.core.config import Selector
from harness.results.published import SHARES, Figure
from harness.results.statistics import Interval
from harness.results.verdicts import Scored

COPIED = 0.0005
"""Scores that differ by no more are the same number, printed with more or with fewer digits."""


class Question(NamedTuple):
    """What all scores of one ranking answer."""

    task: Selector
    evaluation: str
    """Which of the task's further evaluations; empty for the test split."""
    metric: str
    higher_is_better: bool
    share: bool
    """Whether scores are shares, of which a point is a hundredth."""

    @property
    def title(self) -> str:
        """The task, with the evaluation if it is a further one."""
        return ", ".join(filter(None, (self.task, self.evaluation)))


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What one source says of one model on one task."""

    model: str
    """As the source calls it."""
    stated: Selector | None = None
    """Ours, with the options that a paper states; None if we have none."""
    score: float
    interval: Interval | None = None
    quoted: bool = False
    """Whether the source has it from another."""


Marks = Mapping[Question, Mapping[str, Mark]]
"""What a source says, by question and model."""


def printed(figures: Iterable[Figure]) -> dict[str, Marks]:
    """Return what every source says of every model that it has but once, or once as it is."""
    found: dict[str, dict[Question, dict[str, list[Figure]]]] = {}
    for each in figures:
        if each.task is not None and each.score is not None:
            share = each.unit in SHARES
            asked = Question(each.task, each.evaluation, each.metric, each.higher_is_better, share)
            model = each.model or each.paper_model.lower()
            of_source = found.setdefault(each.source, {}).setdefault(asked, {})
            of_source.setdefault(model, []).append(each)
    return {
        source: {
            asked: {model: mark for model, rows in models.items() if (mark := _mark(rows))}
            for asked, models in of_source.items()
        }
        for source, of_source in sorted(found.items())
    }


def _mark(rows: Sequence[Figure]) -> Mark | None:
    """Take the source's own run, without a variant; None if several are left of equal standing."""

    def standing(each: Figure) -> tuple[bool, bool]:
        return each.provenance == "second-hand", bool(each.variant)

    best = min(map(standing, rows))
    chosen, *others = (each for each in rows if standing(each) == best)
    if others or chosen.score is None:
        return None
    return Mark(
        model=chosen.paper_model,
        stated=chosen.model,
        score=chosen.score,
        interval=chosen.interval,
        quoted=chosen.provenance == "second-hand",
    )


def as_asked(measured: Iterable[Scored], marks: Marks) -> Marks:
    """Return what was measured of the models of a paper on its tasks, by the paper's names."""
    by_question: dict[tuple[Selector, str, str], list[Scored]] = {}
    for each in measured:
        by_question.setdefault((each.task, each.evaluation, each.metric), []).append(each)
    return {
        question: {
            model: Mark(model=best.model, score=best.mean, interval=best.interval)
            for model, mark in models.items()
            if (best := _closest(by_question.get(question[:3], []), mark.stated))
        }
        for question, models in marks.items()
    }


def _closest(found: Iterable[Scored], stated: Selector | None) -> Scored | None:
    """Return the model that is as stated, with the fewest options that were chosen beside that."""
    if stated is None:
        return None
    fitting = [
        each
        for each in found
        if each.model.name == stated.name
        and all(each.model_options.get(name) == value for name, value in stated.options.items())
    ]
    return min(
        fitting,
        key=lambda each: (len(each.model.options.keys() - stated.options), each.model),
        default=None,
    )


def copied(one: Mark, other: Mark) -> bool:
    """Say whether one of two sources has its number from the other, or both from a third."""
    return (one.quoted or other.quoted) and abs(one.score - other.score) <= COPIED
