"""The table of further evaluations: one trained network on longer, coarser or fuller sets.

Where they are longer, the effective length stands below them: how far a score holds.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from statistics import mean

from harness.core.record import Learned
from harness.report import units
from harness.report.tables import Table, Text, shortened
from harness.results.aggregate import Group
from harness.results.statistics import t_interval

OWN = {"train", "validation", "test"}
LONGER = re.compile(r"length-(\d+)")
HELD = 0.85
"""Share of what is scored above chance at the training length that a longer set must keep."""


def evaluation_table(groups: Sequence[Group]) -> Table:
    """Make the table of task and evaluation x models."""
    rows = {
        (group.title, name): _by_model(group, name)
        for group in groups
        if not group.sweep
        for name in _names(group)
    }
    models = sorted({model for found in rows.values() for model in found})
    shown = [
        (Text(task), Text(name), *_row(name, found, models)) for (task, name), found in rows.items()
    ]
    for group in groups:
        task, further = group.title, longer(group)
        if len(further) > 1 and not group.sweep:
            last = max(place for place, row in enumerate(shown) if row[0].text == task)
            runs = rows[task, next(iter(further.values()))]
            held = (_effective(further, runs.get(model, [])) for model in models)
            shown.insert(last + 1, (Text(task), Text("effective length"), Text("positions"), *held))
    return Table(
        title="Further evaluations",
        columns=("Task", "Evaluation", "Metric", *models),
        rows=tuple(shown),
        note="The trained networks of the scores above on further sets, without more training: "
        "mean over n seeds ± half its 95 % interval (Student's t). The effective length is the "
        f"longest up to which the mean keeps {HELD:.0%} of what it has above chance at the "
        "length of the training.".replace("%", " %"),
        labels=3,
    )


def longer(group: Group) -> dict[int, str]:
    """Return the further sets of longer examples, by the positions that they are named after."""
    found = ((LONGER.fullmatch(name), name) for name in _names(group))
    return dict(sorted((int(match[1]), name) for match, name in found if match))


def _effective(further: Mapping[int, str], runs: Sequence[Learned]) -> Text:
    """Say up to which length a model's score holds."""
    if not runs or not all(run.higher_is_better for run in runs):
        return Text(units.DASH, missing=True)
    chance = runs[0].chance
    own = mean(run.score for run in runs) - chance
    if own <= 0 or not any(run.beats_chance for run in runs):
        return Text("no better than chance", missing=True)

    def holds(name: str) -> bool:
        found = [run.scores[name][run.metric] for run in runs if name in run.scores]
        return bool(found) and mean(found) - chance >= HELD * own

    held = [*takewhile(lambda length: holds(further[length]), further)]
    if not held:
        return Text("as trained")
    return Text(f"{held[-1]:,}" + (" or more" if len(held) == len(further) else ""))


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
