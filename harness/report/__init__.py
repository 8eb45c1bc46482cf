"""Tables, figures and the page made from cells; never torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.record import Record
from harness.report import formats
from harness.report.agreement import agreement_table, contradiction_table
from harness.report.comparison import comparison_table
from harness.report.contents import Report
from harness.report.literature import Beside, cost_table, figure_tables, literature_table
from harness.report.tables import Table
from harness.results.agreement import Agreement
from harness.results.compare import Comparison
from harness.results.published import Cost, Figure

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Report", "differing", "print_comparison", "print_published", "print_tables", "write"]


def print_tables(records: Sequence[Record], console: "Console") -> None:
    """Print the tables that have rows."""
    for found in Report(records).tables().values():
        _print(found, console)


def print_published(
    found: Sequence[Figure],
    paid: Sequence[Cost],
    beside: Sequence[Beside],
    agreeing: Sequence[Agreement],
    console: "Console",
) -> None:
    """Print published scores and costs, what was measured beside them, and how far all agree."""
    made = (
        *figure_tables(found),
        cost_table(paid),
        literature_table(beside),
        agreement_table(agreeing),
        contradiction_table(agreeing),
    )
    _print([table for table in made if table.rows], console)


def _print(found: Sequence[Table], console: "Console") -> None:
    for table in found:
        console.print(formats.for_terminal(table), "")


def print_comparison(comparison: Comparison, names: tuple[str, str], console: "Console") -> None:
    """Print B against A, with what must be said beside the numbers."""
    console.print(formats.for_terminal(comparison_table(comparison, names)))


def write(
    records: Sequence[Record],
    folder: Path,
    left_out: Sequence[str] = (),
    forms: Sequence[str] = ("md", "csv", "html"),
) -> list[Path]:
    """Write a report and return the paths of its files: see `harness.report.files`.

    Raises:
        SpecError: The folder cannot be written to, or there is no such format.
    """
    from harness.report import files  # noqa: PLC0415 - what is only printed needs no jinja

    return files.write(records, folder, left_out, forms)


def differing(
    records: Sequence[Record],
    folder: Path,
    left_out: Sequence[str] = (),
    forms: Sequence[str] = ("md", "csv", "html"),
) -> list[Path]:
    """Return which files of a written report its records do not give: see `files`.

    Raises:
        SpecError: There is no such format.
    """
    from harness.report import files  # noqa: PLC0415 - as above

    return files.differing(records, folder, left_out, forms)
