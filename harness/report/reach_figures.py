"""The figure of scores over the length: one trained network on texts longer than its own."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from harness.core.record import Learned
from harness.report.canvas import Look, Picture, finished, legend_below, panels
from harness.report.evaluations import longer
from harness.report.figures import possible
from harness.results.aggregate import Group
from harness.results.statistics import t_interval

Place = tuple[int, list[float]]
"""A length, and the scores of all seeds there."""


def reach_picture(groups: Iterable[Group], look: Mapping[str, Look]) -> Picture | None:
    """Draw how far scores hold beyond the trained length, a panel a task; None without any."""
    drawn = [group for group in groups if not group.sweep and len(longer(group)) > 1]
    most = max((len(group.members) for group in drawn), default=0)
    with panels(len(drawn), lines=most / 2) as (figure, axes):
        for axis, group in zip(axes, drawn, strict=True):
            _panel(axis, group, look)
        legend_below(figure, axes)
        return finished(
            figure,
            name="reach",
            title="How far scores hold beyond the trained length",
            alt="The score over the length of the test examples, on a log axis. Line: mean over "
            "seeds; bar: its 95 % interval; dotted line: the length of the training; dashed line: "
            "chance.",
        )


def _panel(axis: Axes, group: Group, look: Mapping[str, Look]) -> None:
    own = group.records[0].task_options.get("length")
    trained = own if isinstance(own, int) else None
    runs: list[Learned] = []
    for model, records in group.members.items():
        learned = [record.learned for record in records if record.learned]
        if learned and records[0].parameters != 0:
            runs += learned
            _line(axis, _places(learned, longer(group), trained), look[model], model)
    if not runs:
        return
    better = runs[0].higher_is_better
    axis.set_ylim(possible(axis.get_ylim(), runs[0].chance, higher_is_better=better))
    axis.axhline(runs[0].chance, color="0.3", lw=1, ls="--", label="_chance")
    if trained:
        axis.axvline(trained, color="0.3", lw=1, ls=":", label="_trained")
    axis.set_xscale("log", base=2)
    axis.set(title=group.title, xlabel="length of the test examples", ylabel=runs[0].metric)
    lengths = sorted({*longer(group), *([trained] if trained else [])})
    axis.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axis.xaxis.set_minor_locator(NullLocator())


def _places(
    runs: Sequence[Learned], lengths: Mapping[int, str], trained: int | None
) -> list[Place]:
    """Return the scores at the trained length and at each further one that any run was asked at."""
    places = [(trained, [run.score for run in runs])] if trained else []
    for length, name in lengths.items():
        found = [run.scores[name][run.metric] for run in runs if name in run.scores]
        places += [(length, found)] if found else []
    return sorted(places)


def _line(axis: Axes, places: Sequence[Place], style: Look, model: str) -> None:
    lengths = [length for length, _ in places]
    axis.plot(lengths, [mean(found) for _, found in places], label=model, ms=5, **style.line)
    for length, found in places:
        if len(found) > 1:
            bar = t_interval(found)
            axis.plot([length] * 2, bar, color=style.colour, lw=1, alpha=0.5, label="_child")
