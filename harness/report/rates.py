"""The table of sweeps: what was chosen, where a model learns at all, and what finding out cost."""

from collections.abc import Iterable

from harness.core.config import show
from harness.core.grid import point_text
from harness.core.record import Swept, Trial
from harness.report import units
from harness.report.tables import Table, Text
from harness.results.aggregate import Group, group_cells


def rate_table(groups: Iterable[Group]) -> Table:
    """Make the table of what was chosen on validation for each model, with every trial."""
    cells = [cell for group in groups if not group.sweep for cell in group_cells(group)]
    rows = [
        (cell.task, cell.model, *_texts(cell.swept)) for cell in cells if cell.swept is not None
    ]
    return Table(
        title="Rates and other values chosen on validation",
        columns=("Task", "Model", "Chosen", "Learns", "Trials", "Validation"),
        rows=tuple(tuple(map(Text, row)) for row in rows),
        note="Chosen: the best on validation, of equally good ones the middle; test scores above "
        "are of it alone. Learns: from where to where, without a gap, the model beats chance; "
        "beyond what was tried it may go on. An end: the smallest or the largest that was tried, "
        "so one beyond it may be better. Trials: how many, and their training and scoring in all.",
        labels=2,
        prose=1,
    )


def _texts(swept: Swept) -> tuple[str, ...]:
    chosen = (point_text(swept.chosen) or "nothing") + ", an end" * _at_an_end(swept)
    learned = any(trial.learned for trial in swept.trials)
    windows = "; ".join(
        f"{name} {_reach(low, high)}" for name, (low, high) in swept.windows.items()
    )
    cost = f"{len(swept.trials)}, {units.seconds(swept.seconds)}"
    return (
        chosen,
        windows or (units.DASH if learned else "nowhere"),
        cost,
        "; ".join(map(_trial, swept.trials)),
    )


def _at_an_end(swept: Swept) -> bool:
    """Say whether a number was chosen that has others on one side of it only."""
    for name, value in swept.chosen.items():
        tried = [trial.values[name] for trial in swept.trials]
        if not isinstance(value, str | bool) and value in {min(tried), max(tried)}:
            return True
    return False


def _reach(low: float, high: float) -> str:
    """Write where a window begins and ends, and how wide it is."""
    wide = f" (x {units.digits(high / low)})" if low > 0 else ""
    return f"{show(low)} to {show(high)}{wide}" if low < high else f"{show(low)} only"


def _trial(trial: Trial) -> str:
    """Write the score of one trial, or its outcome."""
    score = trial.outcome if trial.validation is None else units.score(trial.validation)
    return f"{', '.join(map(show, trial.values.values()))}: {score}"
