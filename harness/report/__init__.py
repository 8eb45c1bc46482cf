"""Tables, figures and the page made from cells; never torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.record import Record
from harness.report import formats, tables
from harness.report.averages import average_table
from harness.report.comparison import comparison_table
from harness.report.crossing import Crossover, crossovers
from harness.report.evaluations import evaluation_table
from harness.report.literature import (
    Beside,
    beside_published,
    cost_table,
    figure_tables,
    literature_csv,
    literature_table,
)
from harness.report.ranks import front_table, rank_table
from harness.report.rates import rate_table
from harness.report.scaling import Series, series
from harness.report.sizes import size_table
from harness.report.tables import Table
from harness.results.aggregate import Group, comparable_groups
from harness.results.compare import Comparison
from harness.results.destination import writing
from harness.results.newest import Newest, newest
from harness.results.published import Cost, Figure, published_figures
from harness.results.ranks import Rows, learned_rows

if TYPE_CHECKING:
    from rich.console import Console

    from harness.report.canvas import Picture

SECTION = "Length"


@dataclass(frozen=True)
class Sweeps:
    """Measurements over lengths on one device, which have a section of their own."""

    section: str
    by_task: Mapping[str, list[Series]]

    @property
    def where(self) -> str:
        """The device, as a title goes on; empty for a CPU."""
        return self.section.removeprefix(SECTION)

    @property
    def every(self) -> list[Series]:
        """The series of all tasks."""
        return list(chain.from_iterable(self.by_task.values()))

    @cached_property
    def pairs(self) -> list[Crossover]:
        """Who is faster than whom from which length on."""
        return list(chain.from_iterable(map(crossovers, self.by_task.values())))

    def tables(self) -> list[Table]:
        """Make a table for each task, and those of growth and crossovers over all of them."""
        scaling = [tables.scaling_table(task, found) for task, found in self.by_task.items()]
        return [*scaling, tables.growth_table(self.every), tables.crossover_table(self.pairs)]


@dataclass(frozen=True)
class Report:
    """What all forms of a report are made from."""

    every: Sequence[Record]

    @cached_property
    def newest(self) -> Newest:
        """Records of the code that plugins have now, and the older ones, which are left out."""
        return newest(self.every)

    @property
    def records(self) -> Sequence[Record]:
        """What is shown."""
        return self.newest.records

    @cached_property
    def groups(self) -> list[Group]:
        """Records that may stand in one row or one sweep."""
        return comparable_groups(self.records)

    @cached_property
    def beside(self) -> list[Beside]:
        """Scores beside those that papers print."""
        return beside_published(self.groups, published_figures())

    @cached_property
    def sweeps(self) -> dict[str, Sweeps]:
        """Measurements over lengths, a section for each device."""
        found: dict[str, dict[str, list[Series]]] = {}
        for group in self.groups:
            if group.sweep:
                found.setdefault(_section(group), {})[group.title] = series(group)
        return {name: Sweeps(name, found[name]) for name in sorted(found)}

    @cached_property
    def rows(self) -> Rows:
        """The cells of every learning task."""
        return learned_rows(self.groups)

    def tables(self) -> dict[str, list[Table]]:
        """Make every table that has rows, by section."""
        costs = comparable_groups(self.records, timed=True)
        made = {
            "Scores": [
                tables.score_table(self.groups),
                average_table(self.groups),
                evaluation_table(self.groups),
            ],
            "Standings": [rank_table(self.rows), front_table(learned_rows(costs))],
            "Beside the literature": [literature_table(self.beside)],
            "Training": [tables.cost_table(costs), rate_table(self.groups)],
            **{name: swept.tables() for name, swept in self.sweeps.items()},
            "Width and state": [size_table(self.records)],
            "Missing": [tables.missing_table(self.records)],
        }
        older = self.newest.older
        shown = {
            name: [tables.without_older(table, older) for table in found if table.rows]
            for name, found in made.items()
        }
        return {name: found for name, found in shown.items() if found}

    def pictures(self) -> dict[str, list["Picture"]]:
        """Draw every figure that shows something, by section."""
        # Seconds of imports, not for printing.
        from harness.report import canvas, figures, rank_figures  # noqa: PLC0415

        look = canvas.looks([label for group in self.groups for label in group.members])
        learned = [group for group in self.groups if not group.sweep]
        costs = learned_rows(comparable_groups(self.records, timed=True))
        made = {
            "Scores": [figures.score_picture(learned, look)],
            "Standings": [
                rank_figures.rank_picture(self.rows, look),
                rank_figures.profile_picture(self.rows, look),
                rank_figures.front_picture(costs, look),
            ],
            "Training": [figures.loss_picture(learned, look)],
            **{
                name: [
                    figures.time_picture(swept.by_task, swept.pairs, look, swept.where),
                    figures.memory_picture(swept.by_task, look, swept.where),
                ]
                for name, swept in self.sweeps.items()
            },
        }
        return {name: [each for each in found if each] for name, found in made.items()}


def _section(group: Group) -> str:
    """Name the section of a sweep by its device; most are of a CPU, which goes without saying."""
    first = group.records[0]
    if first.spec.device == "cpu":
        return SECTION
    return f"{SECTION} on {first.machine.get('accelerator', first.spec.device)}"


def print_tables(records: Sequence[Record], console: "Console") -> None:
    """Print the tables that have rows."""
    for found in Report(records).tables().values():
        _print(found, console)


def print_published(
    found: Sequence[Figure], paid: Sequence[Cost], beside: Sequence[Beside], console: "Console"
) -> None:
    """Print published scores and costs, and what was measured beside them."""
    made = (*figure_tables(found), cost_table(paid), literature_table(beside))
    _print([table for table in made if table.rows], console)


def _print(found: Sequence[Table], console: "Console") -> None:
    for table in found:
        console.print(formats.for_terminal(table), "")


def print_comparison(comparison: Comparison, names: tuple[str, str], console: "Console") -> None:
    """Print B against A, with what must be said beside the numbers."""
    console.print(formats.for_terminal(comparison_table(comparison, names)))


def write(records: Sequence[Record], folder: Path, left_out: Sequence[str] = ()) -> list[Path]:
    """Write Markdown, CSV, figures and one HTML page, and return their paths.

    Works with any records, also with none; the same records give the same bytes.

    Args:
        records: What is reported.
        folder: Where to.
        left_out: Sentences on what of the results could not be read.

    Raises:
        SpecError: The folder cannot be written to.
    """
    from harness.report.page import page, summary  # noqa: PLC0415 - only a page needs jinja

    report = Report(records)
    made, drawn = report.tables(), report.pictures()
    every = [each for swept in report.sweeps.values() for each in swept.every]
    texts = {
        "report.md": markdown(
            [summary(report.records), *(formats.escaped(f"Left out: {said}") for said in left_out)],
            made,
            drawn,
        ),
        "scores.csv": formats.scores_csv(report.groups),
        "scaling.csv": formats.scaling_csv(every),
        "literature.csv": literature_csv(report.beside),
        "report.html": page(report.records, made, drawn, left_out),
    }
    files = {name: text.encode() for name, text in texts.items()}
    for picture in chain.from_iterable(drawn.values()):
        files[f"figures/{picture.name}.png"] = picture.png
        files[f"figures/{picture.name}.svg"] = picture.svg
    with writing(folder, "--out"):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return [folder / name for name in files]


def markdown(
    opening: Sequence[str], made: Mapping[str, list[Table]], drawn: Mapping[str, list["Picture"]]
) -> str:
    """Write the whole report as Markdown; the figures lie beside it."""
    parts = ["# State space models and attention, compared\n", *(f"{said}\n" for said in opening)]
    for name, found in made.items():
        parts += [f"## {name}\n", *map(formats.markdown, found)]
        parts += [f"![{each.alt}](figures/{each.name}.png)\n" for each in drawn.get(name, ())]
    return "\n".join(parts)
