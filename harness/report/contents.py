"""What all forms of a report are made from: tables and figures by section, and sentences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from harness.core.record import Record
from harness.report import tables
from harness.report.agreement import agreement_table, contradiction_table, measured
from harness.report.apart import apart_table
from harness.report.averages import average_table
from harness.report.counts import count_table
from harness.report.crossing import Crossover, crossovers
from harness.report.evaluations import evaluation_table
from harness.report.headlines import headlines
from harness.report.held import held_equal
from harness.report.literature import Beside, beside_published, literature_table
from harness.report.protocol import protocol_tables
from harness.report.published_averages import published_average_table
from harness.report.ranks import front_table, rank_table
from harness.report.rates import rate_table
from harness.report.recall import Recall, recall_table, recalled
from harness.report.scaling import Series, series
from harness.report.sizes import size_table
from harness.report.tables import Table
from harness.results.aggregate import Group, comparable_groups
from harness.results.agreement import Agreement, agreements
from harness.results.blocks import blocks
from harness.results.newest import Newest, newest
from harness.results.published import Figure, published_figures
from harness.results.ranks import Rows, learned_rows

if TYPE_CHECKING:
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
        held = held_equal(
            record for each in self.every for point in each.points for record in point.records
        )
        over = tables.growth_table(self.every), tables.crossover_table(self.pairs)
        return [*scaling, *(noted(table, held) for table in over)]


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
        return beside_published(self.groups, self.figures)

    @cached_property
    def figures(self) -> list[Figure]:
        """What papers print of any task."""
        return published_figures()

    @cached_property
    def agreements(self) -> list[Agreement]:
        """How far the papers that print scores of these tasks rank models alike, and as here."""
        tasks = {each.task for group in self.groups for each in group.records[:1]}
        known = [each for each in self.figures if each.task in tasks]
        return agreements(known, measured(self.groups, known))

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

    @cached_property
    def recall(self) -> list[Recall]:
        """What models recall, and in how many bytes."""
        return recalled(self.groups)

    @property
    def headlines(self) -> list[str]:
        """What the tables show, in sentences."""
        pairs = [pair for swept in self.sweeps.values() for pair in swept.pairs]
        verdicts = [each.verdict.word for each in self.beside]
        return headlines(self.rows, pairs, self.records, verdicts)

    @cached_property
    def blocks(self) -> list[list[Group]]:
        """Tasks that have most of their models in common, each as short a title as these need."""
        return [
            comparable_groups(chain.from_iterable(group.records for group in block))
            for block in blocks(self.groups)
        ]

    def in_blocks(self, make: Callable[[Sequence[Group]], Table]) -> list[Table]:
        """Make a table of each block; those after the first are named by their tasks, too."""
        made = [(make(block), block) for block in self.blocks]
        return [
            replace(table, title=f"{table.title}: {', '.join(group.title for group in block)}")
            if place
            else table
            for place, (table, block) in enumerate(made)
        ]

    @cached_property
    def costs(self) -> list[Group]:
        """Records whose times may be compared."""
        return comparable_groups(self.records, timed=True)

    def tables(self) -> dict[str, list[Table]]:
        """Make every table that has rows, by section."""
        held = held_equal(record for record in self.records if record.learns)
        made = {
            "Protocol": protocol_tables(self.groups),
            "Scores": [
                *self.in_blocks(tables.score_table),
                *self.in_blocks(count_table),
                noted(average_table(self.groups), held),
                *(noted(table, held) for table in self.in_blocks(evaluation_table)),
            ],
            "Standings": [
                noted(rank_table(self.rows), held),
                noted(apart_table(self.groups), held),
                noted(front_table(learned_rows(self.costs)), held),
                recall_table(self.recall),
            ],
            "Beside the literature": [
                literature_table(self.beside),
                published_average_table(self.groups, self.figures),
                agreement_table(self.agreements),
                contradiction_table(self.agreements),
            ],
            "Training": [tables.cost_table(self.costs), rate_table(self.groups)],
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
        from harness.report import (  # noqa: PLC0415
            canvas,
            figures,
            growth_figures,
            heat_figures,
            map_figures,
            rank_figures,
            reach_figures,
            recall_figures,
            window_figures,
        )

        every = (*self.groups, *self.costs)
        look = canvas.looks([label for group in every for label in group.members])
        learned = [group for group in self.groups if not group.sweep]
        costs = learned_rows(self.costs)
        made = {
            "Scores": [
                map_figures.map_picture(learned_rows(self.blocks[0] if self.blocks else ())),
                figures.score_picture(learned, look),
                reach_figures.reach_picture(learned, look),
                heat_figures.heat_picture(learned),
            ],
            "Standings": [
                rank_figures.rank_picture(self.rows, look),
                rank_figures.profile_picture(self.rows, look),
                rank_figures.front_picture(costs, look),
                recall_figures.recall_picture(self.recall, look),
            ],
            "Training": [
                figures.loss_picture(learned, look),
                window_figures.window_picture(self.rows, look),
            ],
            **{
                name: [
                    growth_figures.time_picture(swept.by_task, swept.pairs, look, swept.where),
                    growth_figures.memory_picture(swept.by_task, look, swept.where),
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


def noted(table: Table, held: str) -> Table:
    """Say below a table of several rows of scores or lengths what models had in common in each."""
    return replace(table, note=f"{table.note} {held}".rstrip())


@dataclass(frozen=True)
class Shown:
    """A report as it is to be shown: what a form does not need is not made."""

    report: Report
    left_out: Sequence[str] = ()
    """Sentences on what of the results could not be read."""

    @cached_property
    def tables(self) -> Mapping[str, list[Table]]:
        """Every table, by section."""
        return self.report.tables()

    @cached_property
    def pictures(self) -> Mapping[str, list["Picture"]]:
        """Every figure, by section; drawing them takes longer than all else."""
        return self.report.pictures()

    @property
    def warnings(self) -> list[str]:
        """What must be said of the results."""
        return [f"Left out: {said}" for said in self.left_out]
