"""Tables as Markdown and for the terminal, and cells as CSV."""

import csv
import dataclasses
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group as Together
from rich.console import RenderableType
from rich.text import Text as RichText

from harness.report.layout import Fitted
from harness.report.scaling import Series
from harness.report.tables import Table, Text
from harness.results.aggregate import Group, group_cells
from harness.results.table import row as flat

MARKUP = re.compile(r"[\\`*_|<>\[\]~]|(?<=:)/(?=/)|(?<=www)\.|&(?=[#\w]+;)", re.IGNORECASE)
FORMULA = re.compile(r"[=+@\t]|-(?![\d.e +-]*$)")
SCALING_COLUMNS = (
    "task", "model", "length", "outcome", "reason", "batch", "call_s_median", "precision",
    "tokens_per_s", "disturbed", "peak_bytes", "delta_bytes", "state_bytes", "flops", "parameters",
    "path", "predicted_s", "predicted_bytes", "device", "run_id",
)  # fmt: skip
SCORE_COLUMNS = (
    "task", "model", "metric", "higher_is_better", "chance", "shortcut", "shortcut_score", "n",
    "lost", "mean", "interval_low", "interval_high", "interval_over", "median", "median_low",
    "median_high", "learned", "learned_low", "learned_high", "step_s", "train_s", "disturbed",
    "peak_bytes", "parameters", "scores", "missing", "reasons",
)  # fmt: skip


def markdown(table: Table) -> str:
    """Write a table as Markdown: its title, its rows, its note."""
    ruler = ["--:" if table.is_number(n) else ":--" for n in range(len(table.columns))]
    lines = [
        [escaped(column) for column in table.columns],
        ruler,
        *([_marked(text) for text in row] for row in table.rows),
    ]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"### {escaped(table.title)}\n\n{body}\n\n{escaped(table.note)}\n"


def for_terminal(table: Table) -> RenderableType:
    """Return a table that rich can print, at whatever width."""
    # Plain strings would be read as rich's markup, in which `[state=32]` is a style.
    rows = [[_styled(text) for text in row] for row in table.rows]
    shown = Fitted(table.columns, rows, table.labels, table.prose)
    return Together(RichText(table.title, "bold"), "", shown, "", RichText(table.note, "dim"))


def scores_csv(groups: Iterable[Group]) -> str:
    """Write every cell of the score table, unrounded, a row a (task, model)."""
    rows = []
    for group in groups:
        for cell in () if group.sweep else group_cells(group):
            several = {
                "scores": " ".join(map(str, cell.scores)),
                "missing": " ".join(f"{name}={count}" for name, count in cell.missing.items()),
                "reasons": " | ".join(cell.reasons),
            }
            way, reached = cell.best_shortcut or (None, None)
            beside = {"shortcut": way, "shortcut_score": reached}
            derived = {"n": cell.n, "lost": cell.lost, "mean": cell.mean, "median": cell.median}
            intervals = {
                "interval": cell.interval,
                "median": cell.median_interval,
                "learned": cell.learned_interval,
            }
            ends = {
                f"{name}_{end}": value
                for name, interval in intervals.items()
                for end, value in zip(("low", "high"), interval or (None, None), strict=True)
            }
            rows.append({**dataclasses.asdict(cell), **beside, **derived, **ends, **several})
    return as_csv(SCORE_COLUMNS, rows)


def scaling_csv(found: Iterable[Series]) -> str:
    """Write every measurement that counts, unrounded, a row a (task, model, length, seed)."""
    rows = [
        {**flat(record), "task": each.task, "model": each.model, "length": point.at}
        for each in found
        for point in each.points
        for record in point.records
    ]
    return as_csv(SCALING_COLUMNS, rows)


def as_csv(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """Write some values of each row; none is a formula to who opens them as a spreadsheet."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _inert(value: Any) -> Any:
    """Quote a text that a spreadsheet would compute; a list of numbers may begin with a minus."""
    if not isinstance(value, str):
        return value
    line = value.replace("\r", " ")  # which `csv` does not quote, and no reader takes
    return f"'{line}" if FORMULA.match(line) else line


def _marked(text: Text) -> str:
    plain = escaped(text.text)
    return f"**{plain}**" if text.best else f"*{plain}*" if text.missing else plain


def escaped(text: str) -> str:
    """Keep text from being read as Markdown; an address in it, from becoming a link."""
    return MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def _styled(text: Text) -> RichText:
    if text.missing:
        return RichText(text.text, "dim", justify="left")
    return RichText(text.text, "bold green" if text.best else "")
