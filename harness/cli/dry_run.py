"""What a person sees of a dry run: a row for every planned run, and what they come to."""

import typer
from rich.text import Text

from harness.cli.app import tell_faults
from harness.cli.terminal import Terminal
from harness.core import codec
from harness.core.messages import Plan
from harness.costs.forecast import Expected, Forecast, forecasts
from harness.report import units
from harness.report.layout import Fitted
from harness.results.store import Store
from harness.runner.executors import load_executor
from harness.runner.sweep import Sweep

STYLES: dict[Expected, str] = {
    "to run": "green",
    "stored": "dim",
    "skipped": "dim",
    "needs files": "yellow",
    "over budget": "yellow",
    "cannot run": "red",
}


def show_dry_run(sweep: Sweep, plan: Plan, json: bool) -> int:
    """Show what would run and what it would take, and run nothing.

    Args:
        sweep: What was asked for.
        plan: What planning, with requirements, made of it.
        json: Print a line of JSON a run, and a last one with the totals.

    Returns:
        The exit code: 1 if a run cannot be made or a plugin is broken, 0 otherwise.
    """
    executor = load_executor(sweep.executor)
    runs = forecasts(
        plan, sweep.results, lambda run: executor.limits(run, sweep.limits), again=sweep.again
    )
    damaged = tell_faults(Store(sweep.results))
    for problem in plan.problems:
        Terminal(stderr=True).say(f"Left out: {problem}")
    if json:
        for line in (*runs, {"totals": totals(runs)}):
            typer.echo(codec.encode(line))
    else:
        console = Terminal()
        console.print(forecast_table(runs))
        console.print("\n".join(closing(runs)), highlight=False, markup=False)
    return 1 if plan.problems or damaged or any(run.expected == "cannot run" for run in runs) else 0


def forecast_table(runs: list[Forecast]) -> Fitted:
    """Make a row for every run."""
    numbers = "seed", "expected", "parameters", "seconds", "memory"
    columns = "task", "model", *numbers, "why, or extrapolated from"
    return Fitted(columns, [forecast_row(run) for run in runs], labels=2, prose=1)


def forecast_row(run: Forecast) -> list[Text]:
    """Write one run."""
    files = ", ".join(f"{name} ({units.memory(n)})" for name, n in run.files.items())
    about = "; ".join(filter(None, (run.reason, files, run.basis)))
    return [
        Text(run.task),
        Text(run.model),
        Text(str(run.seed)),
        Text(run.expected, STYLES[run.expected]),
        Text(units.count(run.parameters)),
        Text("0" if run.seconds == 0 else units.seconds(run.seconds)),
        Text(units.memory(run.bytes)),
        Text(about, "dim"),
    ]


def totals(runs: list[Forecast]) -> dict[str, float]:
    """Add up what is known, and count what is not."""
    files = {name: size for run in runs for name, size in run.files.items()}
    doing = [run for run in runs if run.expected in {"to run", "needs files"}]
    return {
        "runs": len(runs),
        "to_run": len(doing),
        "unknown": sum(run.seconds is None for run in doing),
        "seconds": sum(run.seconds or 0.0 for run in doing),
        "bytes": max((run.bytes or 0.0 for run in doing), default=0.0),
        "files": len(files),
        "fetch_bytes": sum(size or 0 for size in files.values()),
        "fetch_unknown": sum(size is None for size in files.values()),
    }


def closing(runs: list[Forecast]) -> list[str]:
    """Say the totals, and what the figures are and are not."""
    total = totals(runs)
    time, memory = units.seconds(total["seconds"]), units.memory(total["bytes"])
    doing = f"{total['runs']} runs, {total['to_run']} of them to be done"
    known = total["unknown"] < total["to_run"]
    lines = [f"{doing}: {time} in all, {memory} in the largest." if known else f"{doing}."]
    if total["unknown"]:
        lines.append(
            f"Of {total['unknown']} runs no record says what they take; they are not in it."
        )
    if total["files"]:
        more = total["fetch_unknown"]
        unsized = f" and {more} of unknown size" if more else ""
        lines.append(
            f"{total['files']} files to fetch: {units.memory(total['fetch_bytes'])}{unsized}."
        )
    machines = dict.fromkeys(run.machine for run in runs if run.machine)
    if machines:
        lines.append(f"Extrapolated from records made on {'; '.join(machines)}.")
        lines.append("Drawing data, scoring and starting processes are not in the figures.")
    return lines
