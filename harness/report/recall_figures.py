"""The figure of recall: the share of what could be recalled against the bytes of the state."""

from collections.abc import Mapping, Sequence

from harness.report import units
from harness.report.canvas import Look, Picture, finished, legend_below, log_ticks, panels
from harness.report.recall import Recall


def recall_picture(found: Sequence[Recall], look: Mapping[str, Look]) -> Picture | None:
    """Draw a panel a task with two models and more; None without any."""
    tasks = dict.fromkeys(each.task for each in found)
    every = {task: [each for each in found if each.task == task] for task in tasks}
    drawn = {task: members for task, members in every.items() if len(members) > 1}
    with panels(len(drawn)) as (figure, axes):
        for axis, (task, members) in zip(axes, drawn.items(), strict=True):
            for each in members:
                style = look[each.model]
                place = each.state_bytes, each.share
                axis.plot(*place, style.marker, color=style.colour, ms=7, label=each.model)
            axis.set_xscale("log")
            log_ticks(axis.xaxis, units.memory, base=2)
            axis.set(title=task, xlabel="state", ylabel="share of all bits", ylim=(-0.05, 1.05))
            axis.tick_params(axis="x", labelrotation=30)
        legend_below(figure, axes)
        return finished(
            figure,
            name="recalled",
            title="Recall against the size of the state",
            alt="Marker: the share of all bits that may be asked for which a model recalls, mean "
            "over seeds, and the bytes that generation holds for one sequence.",
        )
