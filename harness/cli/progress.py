"""What a person sees while runs go on: runs done, the present loss, the time left. Rich draws it.

Where standard output is no terminal, each finished run is one plain line instead.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBars
from rich.text import Text

from harness.cli.app import tell_faults
from harness.cli.process import exit_code
from harness.cli.terminal import Terminal
from harness.core import codec
from harness.core.grid import point_text
from harness.core.messages import Plan, Progress
from harness.core.notify import inform
from harness.core.record import FAILURES, Record
from harness.results.store import Store
from harness.runner.course import Update
from harness.runner.sweep import Sweep, perform

ELSEWHERE = "elsewhere"
"""What a status belongs to that is of no run in progress here."""
STYLES = {"ok": "green", "skipped": "dim", "not-run": "yellow"}


class Bars(RichBars):
    """Bars, and below them lines about what is waited for, where that is no step."""

    def __init__(self, *columns: ProgressColumn, console: Terminal) -> None:
        self.status: dict[str, str] = {}
        """By run what it waits for."""
        super().__init__(*columns, console=console, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield what is drawn."""
        yield from super().get_renderables()
        for status in dict.fromkeys(filter(None, [*self.status.values()])):
            yield Text(f"  {status}", style="dim", no_wrap=True, overflow="ellipsis")


class SweepDisplay:
    """Follows a sweep: a bar for the runs, a bar for the steps of each run in progress."""

    def __init__(self, console: Terminal, total: int) -> None:
        self.console = console
        self.bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
        )
        self.runs = self.bars.add_task("runs", total=total, note="")
        self.steps: dict[str, TaskID] = {}
        """By the run in progress its bar."""
        self.elsewhere = ""
        self.counts: dict[str, int] = {}
        self.stored = 0

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def __call__(self, update: Update) -> None:
        """Show a run's beginning, its progress or its end."""
        name = update.planned.spec.run_id
        self.bars.status.pop(ELSEWHERE, None)
        if update.record is not None:
            self.finish(update, update.record)
        elif update.elsewhere:
            self.wait(update)
        elif update.progress is None:
            label = f"{update.planned.task}  {update.planned.model}"
            label += f"  seed {update.planned.spec.seed}" if self.steps else ""
            self.steps[name] = self.bars.add_task(escape(label), total=None, note="")
        elif name in self.steps:
            self.advance(name, update.progress)

    def wait(self, update: Update) -> None:
        """Say that what is left to do is done by another sweep; where nothing is drawn, once."""
        said = f"waiting for {update.planned.task}  {update.planned.model}: {update.elsewhere}"
        self.bars.status[ELSEWHERE] = f"{said} does it"
        if not self.console.is_terminal and self.elsewhere != update.elsewhere:
            inform(f"The runs that are left are being done by {update.elsewhere}; waiting for it.")
        self.elsewhere = update.elsewhere

    def advance(self, name: str, progress: Progress) -> None:
        """Show how far a run has come, and what it does besides."""
        if progress.notice and self.console.is_terminal:
            # Whatever is written beside the bars' own console, the bars are drawn over.
            self.console.say(progress.notice)
        elif progress.notice:
            inform(progress.notice)
        self.bars.status[name] = progress.status
        steps = self.steps[name]
        note = "" if progress.loss is None else f"loss {progress.loss:.4g}"
        self.bars.update(steps, completed=progress.step, total=progress.steps or None, note=note)

    def finish(self, update: Update, record: Record) -> None:
        """Count a run, and say in a line what it gave, unless it was stored already."""
        name = update.planned.spec.run_id
        self.bars.status.pop(name, None)
        if (steps := self.steps.pop(name, None)) is not None:
            self.bars.remove_task(steps)
        self.bars.update(self.runs, completed=update.number)
        self.counts[record.outcome] = self.counts.get(record.outcome, 0) + 1
        self.stored += update.stored
        if not update.stored:
            self.console.print(line(update, record), highlight=False, soft_wrap=True)

    def failures(self) -> int:
        """Return how many runs were started and have no score."""
        return sum(self.counts.get(outcome, 0) for outcome in FAILURES)


def line(update: Update, record: Record) -> str:
    """Write one finished run as a line of rich markup."""
    style = STYLES.get(record.outcome, "red")
    done = f"[dim]{update.number:>{len(str(update.total))}}/{update.total}[/dim]"
    trial = point_text(update.planned.point)
    seed = f"seed {record.spec.seed}" + (f"  trial {trial}" if trial else "")
    name = escape(f"{record.task}  {record.model}  {seed}")
    return f"{done} [{style}]{record.outcome:<8}[/{style}] {name}  {escape(summary(record))}"


def summary(record: Record) -> str:
    """Say in a few words what came of a run, or why nothing did."""
    if record.learned is not None:
        learned = record.learned
        metric = f"validation {learned.metric}" if record.trial else learned.metric
        chosen = f" with {point_text(record.swept.chosen)}" if record.swept else ""
        return f"{metric} {learned.score:.4f} in {learned.train_s:.1f} s of training{chosen}"
    if record.measured is not None:
        seconds = sorted(record.measured.call_s)[len(record.measured.call_s) // 2]
        peak = f", {record.memory.delta_bytes / 2**20:.1f} MiB" if record.memory else ""
        return f"{seconds * 1e3:.4g} ms a call{peak}"
    return record.reason


def show_sweep(sweep: Sweep, plan: Plan, json: bool) -> int:
    """Do the planned runs and show them.

    Args:
        sweep: What was asked for.
        plan: What planning made of it.
        json: Print a line of JSON a record on standard output, and all else on standard error.

    Returns:
        The exit code: 1 if a run failed or a plugin is broken, 130 or 143 if ended by Ctrl-C
        or SIGTERM, 0 otherwise.
    """
    console, errors = Terminal(stderr=json), Terminal(stderr=True)
    for problem in plan.problems:
        errors.say(f"Left out: {problem}")
    damaged = tell_faults(Store(sweep.results))
    display = SweepDisplay(console, len(plan.runs))
    try:
        with display:
            for record in perform(sweep, plan.runs, display):
                if json:
                    typer.echo(codec.encode(record))
    except KeyboardInterrupt as stop:
        console.show_cursor()  # if it came before the bars were whole, or while they ended
        errors.say(interrupted(display, plan, sweep.results))
        return exit_code(stop)
    console.say(closing_line(display, sweep.results))
    return 1 if display.failures() or plan.problems or damaged else 0


def interrupted(display: SweepDisplay, plan: Plan, results: str) -> str:
    """Say what an interrupted sweep leaves, and how to go on."""
    done = sum(display.counts.values())
    return (
        f"Interrupted: {done} of {len(plan.runs)} runs are stored in {results}; "
        "the same command goes on from there."
    )


def closing_line(display: SweepDisplay, results: str) -> str:
    """Say at the end how many runs there were, what became of them, and where they are."""
    total = sum(display.counts.values())
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(display.counts.items()))
    if display.stored == total:
        return f"Nothing to do: all {total} runs are stored in {results} ({counts})."
    before = f", {display.stored} of them stored before" if display.stored else ""
    return f"{total} runs: {counts}{before}. Records: {results}"
