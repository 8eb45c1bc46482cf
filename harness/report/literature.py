"""What was measured beside what was published, and what was published by itself."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import mean

from harness.core.record import Learned, Record
from harness.report import formats, units
from harness.report.counts import others
from harness.report.evaluations import OWN
from harness.report.tables import Table, Text
from harness.results.aggregate import Group
from harness.results.published import SHARES, Cost, Figure, Printed
from harness.results.statistics import mean_interval
from harness.results.verdicts import Scored, Verdict, is_of, verdict

COLUMNS = (
    "task", "model", "evaluation", "metric", "here", "here_low", "here_high", "examples",
    "published", "published_low", "published_high", "verdict", "reason", "paper_model", "variant",
    "source", "table", "provenance",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A measured score, a published one, and how they stand to each other."""

    task: str
    model: str
    """As the score table calls both."""
    here: Scored
    there: Figure
    verdict: Verdict

    @property
    def title(self) -> str:
        """The task, with the evaluation if it is a further one."""
        return ", ".join(filter(None, (self.task, self.here.evaluation)))

    @property
    def comparable(self) -> bool:
        """Whether there is a verdict."""
        return self.verdict.word != "not comparable"

    def flat(self) -> dict[str, object]:
        """Return its values by the names of `COLUMNS`."""
        here, there = self.here, self.there
        low, high = here.interval or (None, None)
        least, most = there.interval or (None, None)
        ours = (self.task, self.model, here.evaluation, here.metric, here.mean, low, high)
        theirs = (here.examples, there.score, least, most, *self.verdict)
        printed = (getattr(there, name) for name in COLUMNS[-5:])
        return dict(zip(COLUMNS, (*ours, *theirs, *printed), strict=True))


def beside_published(groups: Iterable[Group], known: Sequence[Figure]) -> list[Beside]:
    """Set every score beside each figure of the same model on the same task."""
    return [
        Beside(task=group.title, model=label, here=here, there=there, verdict=verdict(here, there))
        for group in groups
        if not group.sweep
        for label, records in group.members.items()
        for here, there in _counted_alike(list(scored(records, every_count=True)), known)
    ]


def _counted_alike(
    ours: Sequence[Scored], known: Iterable[Figure]
) -> Iterator[tuple[Scored, Figure]]:
    """Yield each figure behind what was measured of its kind, counted as it is where that was."""
    for there in sorted(known, key=_best_first):
        same = [here for here in ours if is_of(here, there)]
        alike = (here for here in same if here.metric == there.metric)
        if same:
            yield next(alike, same[0]), there


def scored(records: Sequence[Record], *, every_count: bool = False) -> Iterator[Scored]:
    """Yield what was measured of one model on one task: the score, then further evaluations.

    Args:
        records: Its runs.
        every_count: Whether the test split stands there once more for each other way in which its
            labels were counted, as macro accuracy is.
    """
    first, runs = records[0], [record.learned for record in records if record.learned]
    if not runs or first.spec.protocol is None:
        return
    own = runs[0].metric
    asked = dict.fromkeys((name, own) for run in runs for name in run.scores if name not in OWN)
    if every_count:
        asked |= dict.fromkeys(("", name) for run in runs for name in others(run))
    for evaluation, metric in (("", own), *asked):
        scores = [found for run in runs if (found := _score(run, evaluation, metric)) is not None]
        alone = runs[0].interval if (evaluation, metric) == ("", own) else None
        yield Scored(
            task=first.task,
            task_options=first.task_options,
            model=first.model,
            model_options=first.model_options,
            evaluation=evaluation,
            metric=metric.replace("_", " "),
            mean=mean(scores),
            interval=mean_interval(scores) if len(scores) > 1 else alone,
            examples=min(run.steps for run in runs) * first.spec.protocol.batch,
        )


def literature_table(found: Iterable[Beside]) -> Table:
    """Make the table of measured scores beside published ones, comparable ones first."""
    rows = sorted(found, key=lambda each: (each.title, each.model, not each.comparable))
    return Table(
        title="Measured and published",
        columns=("Task", "Model", "Here", "Published", "Verdict", "Of"),
        rows=tuple(map(_row, rows)),
        note="Every published figure that we have of the same model on the same task, "
        "contradictions too. Matches: intervals overlap, or the two are no further apart than a "
        "point (errors: 5 %). Above: better here. Second-hand: the source quotes another. Budget: "
        "examples that were trained on. Averages over tasks are not compared here; "
        "`ssm-bench published` lists them, each convention by itself.",
        labels=2,
        prose=2,
    )


def literature_csv(found: Iterable[Beside]) -> str:
    """Write every pair, unrounded."""
    return formats.as_csv(COLUMNS, (each.flat() for each in found))


def figure_tables(found: Iterable[Figure]) -> list[Table]:
    """Make a table a task, metric and convention of averaging, the best figure first."""
    ordered = sorted(found, key=lambda each: (*_kind(each), *_best_first(each)))
    return [_figure_table(kind, list(rows)) for kind, rows in groupby(ordered, _kind)]


def cost_table(found: Iterable[Cost]) -> Table:
    """Make the table of published times, speeds and sizes."""
    rows = sorted(found, key=lambda each: (each.title, each.mode, each.device, each.unit))
    return Table(
        title="Published costs",
        columns=("Task", "Model", "Of", "Device", "Value", "Source"),
        rows=tuple(_cost_row(each) for each in rows),
        note="As printed, each on the device that its source names.",
        labels=4,
        prose=1,
    )


def _score(run: Learned, evaluation: str, metric: str) -> float | None:
    if not evaluation and metric == run.metric:
        return run.score
    return run.scores.get(evaluation or "test", {}).get(metric)


def _row(each: Beside) -> tuple[Text, ...]:
    here, there, (word, reason) = each.here, each.there, each.verdict
    printed = "failed" if there.score is None else units.plus_minus(there.score, there.interval)
    return (
        Text(each.title),
        Text(each.model),
        Text(units.plus_minus(here.mean, here.interval)),
        Text(printed),
        Text(f"{word}: {reason}", missing=not each.comparable),
        Text(f"{_named(there)}; {there.cited}"),
    )


def _kind(each: Figure) -> tuple[str, str, str, str]:
    """Return what figures of one table have in common."""
    return each.title, each.evaluation, each.averaging, each.metric


def _best_first(each: Figure) -> tuple[bool, float]:
    score = each.score or 0.0
    return each.score is None, -score if each.higher_is_better else score


def _figure_table(kind: tuple[str, str, str, str], rows: Sequence[Figure]) -> Table:
    title, evaluation, averaging, metric = kind
    unit = "percent" if rows[0].unit in SHARES else rows[0].unit
    held = ", ".join(filter(None, (title, evaluation, averaging)))
    return Table(
        title=f"{held}: {metric}, {unit}",
        columns=("Model", "Variant", "Score", "Here", "Source"),
        rows=tuple(_figure_row(each) for each in rows),
        labels=2,
        prose=2,
    )


def _figure_row(each: Figure) -> tuple[Text, ...]:
    scale = 100.0 if each.unit == "fraction" else 1.0
    score = each.value if isinstance(each.value, str) else f"{scale * each.value:g}"
    spread = "" if each.spread is None else f" ± {scale * each.spread:g}"
    second_hand = each.provenance == "second-hand"
    texts = (each.paper_model, each.variant, score + spread, str(each.model or ""))
    return (*map(Text, texts), Text(each.cited, missing=second_hand))


def _cost_row(each: Cost) -> tuple[Text, ...]:
    of = ", ".join(filter(None, (each.mode, each.implementation, each.setting)))
    value = f"{each.value:g} {each.unit}"
    texts = (each.title, _named(each), of, each.device, value, each.cited)
    return tuple(map(Text, texts))


def _named(each: Printed) -> str:
    return f"{each.paper_model} ({each.variant})" if each.variant else each.paper_model
