"""Scores of the test split that are counted in other ways than the one that tables show."""

from collections.abc import Iterable, Sequence
from statistics import mean

from harness.core.record import Learned
from harness.report import units
from harness.report.tables import Table, Text
from harness.results.aggregate import Group
from harness.results.statistics import mean_interval

COUNTS = ("accuracy", "macro_accuracy", "sequence_accuracy")


def count_table(groups: Iterable[Group]) -> Table:
    """Make the table of task and count x models, of tasks with several labels a sequence."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for group in groups:
        for model, records in group.members.items() if not group.sweep else ():
            for run in filter(None, (record.learned for record in records)):
                for name, score in others(run).items():
                    found.setdefault((group.title, name), {}).setdefault(model, []).append(score)
    models = sorted({model for scores in found.values() for model in scores})
    return Table(
        title="Scores by other counts",
        columns=("Task", "Count", *models),
        rows=tuple(
            (Text(task), Text(name), *(_text(scores.get(model, [])) for model in models))
            for (task, name), scores in found.items()
        ),
        note="The same test split. Accuracy counts every label alike, macro accuracy every class, "
        "and sequence accuracy the sequences without any error. Mean over n seeds ± half its 95 % "
        "interval.",
        labels=2,
    )


def others(run: Learned) -> dict[str, float]:
    """Return the scores of the test split by the counts that are not its metric."""
    test = run.scores.get("test", {})
    return {name: test[name] for name in COUNTS if name in test and name != run.metric}


def _text(scores: Sequence[float]) -> Text:
    if not scores:
        return Text(units.DASH, missing=True)
    interval = mean_interval(scores) if len(scores) > 1 else None
    return Text(f"{units.plus_minus(mean(scores), interval)} (n={len(scores)})")
