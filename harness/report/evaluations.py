"""The table of further evaluations: one trained network on longer, coarser or fuller sets."""

from collections.abc import Iterable, Sequence
from statistics import mean

from harness.core.record import Learned
from harness.report import units
from harness.report.tables import Table, Text, shortened
from harness.results.aggregate import Group
from harness.results.statistics import t_interval

OWN = {"train", "validation", "test"}


def evaluation_table(groups: Iterable[Group]) -> Table:
    """Make the table of task and evaluation x models."""
    rows = {
        (group.title, name): _by_model(group, name)
        for group in groups
        if not group.sweep
        for name in _names(group)
    }
    models = sorted({model for found in rows.values() for model in found})
    return Table(
        title="Further evaluations",
        columns=("Task", "Evaluation", "Metric", *models),
        rows=tuple(
            (Text(task), Text(name), *_row(name, found, models))
            for (task, name), found in rows.items()
        ),
        note="The trained networks of the scores above on further sets, without more training: "
        "mean over n seeds ± half its 95 % interval (Student's t).",
        labels=3,
    )


def _names(group: Group) -> list[str]:
    """Return the evaluations that any run of a group knows, in the order of their records."""
    known = [name for run in _runs(group) for name in (*run.scores, *run.unscored)]
    return [name for name in dict.fromkeys(known) if name not in OWN]


def _runs(group: Group) -> list[Learned]:
    return [record.learned for record in group.records if record.learned]


def _by_model(group: Group, name: str) -> dict[str, list[Learned]]:
    labels = group.labels
    found: dict[str, list[Learned]] = {}
    for record in group.records:
        if record.learned and name in {*record.learned.scores, *record.learned.unscored}:
            found.setdefault(labels[record.spec.asked], []).append(record.learned)
    return found


def _row(name: str, found: dict[str, list[Learned]], models: Sequence[str]) -> tuple[Text, ...]:
    metric = next(run.metric for runs in found.values() for run in runs)
    return (Text(metric), *(_score(name, found.get(model, [])) for model in models))


def _score(name: str, runs: Sequence[Learned]) -> Text:
    scores = [run.scores[name][run.metric] for run in runs if name in run.scores]
    if not scores:
        reason = next((run.unscored[name] for run in runs if name in run.unscored), units.DASH)
        return Text(shortened(reason), missing=True)
    interval = t_interval(scores) if len(scores) > 1 else None
    return Text(f"{units.plus_minus(mean(scores), interval)} (n={len(scores)})")
