"""How far papers rank models alike, and as what was measured; and where they contradict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.report import formats, units
from harness.report.headlines import named
from harness.report.literature import scored
from harness.report.tables import Table, Text
from harness.results.aggregate import Group
from harness.results.agreement import Agreement, Pair
from harness.results.marks import Mark, Question
from harness.results.published import Figure
from harness.results.verdicts import Scored

OURS = "these records"
MOST_SHOWN = 12
"""Contradictions that a report has room for."""
SUMMED = (
    "source", "other_source", "tasks", "models", "pairs", "alike", "opposed", "tau", "tau_low",
    "tau_high",
)  # fmt: skip
OPPOSED = (
    "task", "evaluation", "metric", "model", "other_model", "source", "score", "other_score",
    "other_source", "score_there", "other_score_there", "margins",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """Two models on one task that sources have in opposite orders."""

    question: Question
    models: tuple[str, str]
    ahead: dict[str, tuple[Mark, Mark]]
    """What the sources say that have the first one ahead."""
    behind: dict[str, tuple[Mark, Mark]]
    """What the others say."""
    size: float
    """By how many margins the two sources differ that do so the most, the less sure one."""

    @property
    def sentence(self) -> str:
        """Who says what."""
        first, second = self.models
        return (
            f"{first} is ahead of {second} in {_said(self.ahead)}, behind in {_said(self.behind)}."
        )


def measured(groups: Iterable[Group], figures: Iterable[Figure]) -> dict[str, list[Scored]]:
    """Return what was measured on tasks that papers have scores of, by condition."""
    tasks, found = {figure.task for figure in figures}, dict[str, list[Scored]]()
    for group in groups:
        task = group.records[0].task
        if task in tasks:
            name = OURS + group.title.removeprefix(task)
            for records in group.members.values():
                found.setdefault(name, []).extend(scored(records, every_count=True))
    return found


def agreement_table(found: Iterable[Agreement]) -> Table:
    """Make the table of how far every two sources rank alike."""
    return Table(
        title="How far rankings agree",
        columns=("Source", "Other source", "Tasks", "Models", "Pairs", "Alike", "Opposed", "Tau"),
        rows=tuple(_row(each) for each in found),
        note="Kendall's tau-b over all pairs of models on all tasks that both sources have: 1 if "
        "they have the same order everywhere, -1 if the opposite one, 0 if one says nothing of the "
        "other. Opposed: each tells the two apart, intervals not meeting and more than a point "
        "(errors: 5 %) between them, the other way round. Whatever was trained, on however much. "
        "What one source has from another is left out. In brackets a 95 % interval of tau over "
        "such models, Wilson's for as many pairs as there are models; none of two models.",
        labels=2,
    )


def contradiction_table(found: Iterable[Agreement]) -> Table:
    """Make the list of the largest contradictions, a sentence each."""
    every = contradictions(found)
    more = len(every) - MOST_SHOWN
    return Table(
        title="Where rankings contradict each other",
        columns=("Task", "Sources"),
        rows=tuple((Text(each.question.title), Text(each.sentence)) for each in every[:MOST_SHOWN]),
        note="Models that one source tells apart and another the other way round, the surest "
        "first. Ahead: better, also of errors. In brackets: the scores of the two."
        + f" There are {more} more."
        * (more > 0),
        labels=1,
        prose=1,
    )


def contradictions(found: Iterable[Agreement]) -> list[Contradiction]:
    """Gather what sources say of two models on one task in opposite ways, the surest first."""
    by_models: dict[tuple[Question, tuple[str, str]], list[tuple[Agreement, Pair]]] = {}
    for each in found:
        for pair in each.contradictions:
            by_models.setdefault((pair.question, pair.models), []).append((each, pair))
    return sorted(
        map(_gathered, by_models.values()),
        key=lambda each: (-each.size, each.question, each.models),
    )


def agreement_csv(found: Iterable[Agreement]) -> str:
    """Write how far every two sources agree, unrounded."""
    return formats.as_csv(SUMMED, map(_summed, found))


def contradiction_csv(found: Iterable[Agreement]) -> str:
    """Write every contradiction of two sources, unrounded."""
    rows = ((each, pair) for each in found for pair in each.contradictions)
    return formats.as_csv(OPPOSED, (_opposed(*row) for row in rows))


def _gathered(found: Sequence[tuple[Agreement, Pair]]) -> Contradiction:
    """Put all that is said of two models on one task on two sides, the larger side first."""
    sides: tuple[dict[str, tuple[Mark, Mark]], ...] = ({}, {})
    for each, pair in found:
        leads = pair.leads
        sides[leads[0] < 0][each.first] = pair.first
        sides[leads[1] < 0][each.second] = pair.second
    ahead, behind = sides
    if len(behind) > len(ahead):
        behind, ahead = (
            {source: marks[::-1] for source, marks in side.items()} for side in (ahead, behind)
        )
    first, second = next(iter(ahead.values()))  # as the first of them calls the two
    return Contradiction(
        question=found[0][1].question,
        models=(first.model, second.model),
        ahead=ahead,
        behind=behind,
        size=max(pair.size for _, pair in found),
    )


def _said(side: dict[str, tuple[Mark, Mark]]) -> str:
    return named(
        f"{source} ({', '.join(map(_score, marks))}{_quoted(marks)})"
        for source, marks in side.items()
    )


def _score(mark: Mark) -> str:
    return units.plus_minus(mark.score, mark.interval)


def _quoted(marks: Iterable[Mark]) -> str:
    return "; second-hand" * any(mark.quoted for mark in marks)


def _row(each: Agreement) -> tuple[Text, ...]:
    held = len(each.questions), len(each.models), len(each.pairs)
    counts = (*held, each.alike, len(each.contradictions))
    tau = units.score(each.tau, 2)
    if each.interval:
        tau += " [{}, {}]".format(*(units.score(end, 2) for end in each.interval))
    return tuple(map(Text, (each.first, each.second, *map(str, counts), tau)))


def _summed(each: Agreement) -> dict[str, object]:
    """Return its values by the names of `SUMMED`."""
    low, high = each.interval or (None, None)
    names = [question.title for question in each.questions]
    said = (each.first, each.second, "; ".join(names), "; ".join(each.models))
    counts = (len(each.pairs), each.alike, len(each.contradictions), each.tau, low, high)
    return dict(zip(SUMMED, (*said, *counts), strict=True))


def _opposed(each: Agreement, pair: Pair) -> dict[str, object]:
    """Return its values by the names of `OPPOSED`."""
    question = pair.question
    scores = [[mark.score for mark in marks] for marks in (pair.first, pair.second)]
    values = (
        *(question.task, question.evaluation, question.metric, *pair.models),
        *(each.first, *scores[0], each.second, *scores[1], pair.size),
    )
    return dict(zip(OPPOSED, values, strict=True))
