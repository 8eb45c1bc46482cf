"""What may be said of a measured score beside a published one: values in, a verdict out. No torch.

A verdict is about scores that were to be the same. Where the source differs in anything that is
known to matter, there is none, and the reasons are named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.core.config import Option, Selector, show
from harness.results.published import SHARES, Figure
from harness.results.statistics import POINT, Interval

SHARE = 0.05
"""Errors that differ by no more of the published one are the same, as shares are within a point:
what another seed or another machine changes."""
ENOUGH = 0.9
"""The least share of the source's examples that a training must have seen to be set beside it."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What was measured of a model on a task."""

    task: Selector
    """With the options that differ from their defaults."""
    task_options: Mapping[str, Option]
    """All of them."""
    model: Selector
    model_options: Mapping[str, Option]
    evaluation: str = ""
    """Which of the task's further evaluations; empty for the test split."""
    metric: str
    mean: float
    interval: Interval | None
    """95 %, over seeds or over examples."""
    examples: int
    """Examples that a run trained on, repeated ones too."""


class Verdict(NamedTuple):
    """How a measured score stands to a published one; above is better, whatever the metric."""

    word: Literal["matches", "above", "below", "not comparable"]
    reason: str


def is_of(ours: Scored, figure: Figure) -> bool:
    """Say whether a figure is of this model on this set of this task, options aside."""
    task, model = figure.task, figure.model
    if task is None or model is None or figure.evaluation != ours.evaluation:
        return False
    return task.name == ours.task.name and model.name == ours.model.name


def verdict(ours: Scored, figure: Figure) -> Verdict:
    """Set a measured score beside a published one of the same model and task.

    They match if their intervals overlap, where there are such, or if they are no further apart
    than a point (of errors: 5 %).
    """
    obstacles = list(_obstacles(ours, figure))
    if obstacles or figure.score is None:
        return Verdict("not comparable", "; ".join(obstacles))
    word, how = _compared(ours, figure, figure.score)
    unstated = "" if figure.examples else "its budget is not stated"
    return Verdict(word, "; ".join(filter(None, (how, unstated, _remark(ours, figure)))))


def overlap(one: Interval, other: Interval) -> bool:
    """Say whether two intervals have a number in common."""
    return max(one[0], other[0]) <= min(one[1], other[1])


def _obstacles(ours: Scored, figure: Figure) -> Iterator[str]:
    """Yield why two scores cannot be set against each other."""
    if figure.score is None:
        yield "it failed there"
    if figure.provenance == "second-hand":
        yield "second-hand"
    if figure.metric != ours.metric:
        yield f"other metric: {figure.metric} there"
    yield from _other_options(ours, figure)
    if figure.differs:
        yield figure.differs
    if figure.examples and ours.examples < ENOUGH * figure.examples:
        yield f"budget {100 * ours.examples / figure.examples:.2g} % of the paper's"


def _other_options(ours: Scored, figure: Figure) -> Iterator[str]:
    """Yield options in which they differ: of the task all, of the model those that are stated.

    An option of a task asks another question. What a paper leaves open of a model, it leaves open.
    """
    task, model = figure.task or ours.task, figure.model or ours.model
    for name, value in model.options.items():
        if ours.model_options.get(name) != value:
            yield f"other variant: {name}={show(value)} there"
    for name in sorted({*task.options, *ours.task.options}):
        here = ours.task_options.get(name, ours.task.options.get(name))
        if name not in task.options:
            yield f"other task: {name} is the default there"
        elif here != task.options[name]:
            yield f"other task: {name}={show(task.options[name])} there"


def _remark(ours: Scored, figure: Figure) -> str:
    """Name the options that were chosen here and are not stated there."""
    stated = figure.model.options if figure.model else {}
    more = {name: value for name, value in ours.model.options.items() if name not in stated}
    chosen = ", ".join(f"{name}={show(value)}" for name, value in more.items())
    return chosen and f"{chosen} here"


def _compared(
    ours: Scored, figure: Figure, there: float
) -> tuple[Literal["matches", "above", "below"], str]:
    """Compare two scores of one metric."""
    mine, theirs = ours.interval, figure.interval
    low, high = mine or (ours.mean, ours.mean)
    least, most = theirs or (there, there)
    if (mine or theirs) and overlap((low, high), (least, most)):
        return "matches", "intervals overlap" if mine and theirs else "within the interval"
    share = figure.unit in SHARES
    gap = ours.mean - there
    size = f"{100 * abs(gap):.1f} points" if share else f"{abs(gap):.2g}"
    if abs(gap) <= (POINT if share else SHARE * abs(there)):
        return "matches", "within 1 point" if share else "within 5 %"
    better = (gap > 0) == figure.higher_is_better
    return ("above" if better else "below"), f"by {size}"
