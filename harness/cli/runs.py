"""The verbs that plan and make runs."""

import re
import sys
from typing import Annotated

import typer

from harness.cli.app import LOCAL, AsJson, Plugins, Results, app
from harness.core.config import Limits, Protocol, parse_options, parse_seeds
from harness.core.errors import SpecError, unknown


@app.command()
def run(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Tasks or suites, such as synthetic/shift or lra.")
    ] = None,
    model: Annotated[
        list[str], typer.Option("-m", "--model", help="A model, such as 's4d[state=32]'; repeat.")
    ] = [],  # noqa: B006
    preset: Annotated[str, typer.Option(help="A named list of runs instead of tasks.")] = "",
    seeds: Annotated[
        str, typer.Option(help="How many seeds, such as 3, or which: 0,4-6.", show_default="1")
    ] = "",
    protocol: Annotated[str, typer.Option(help="Change the protocol: 'steps=200,batch=16'.")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    results: Results = LOCAL,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds a run may take; 0: any.")] = 0,
    memory_limit: Annotated[str, typer.Option(help="Memory a run may use, such as 6G.")] = "0",
    again: Annotated[bool, typer.Option("--again", help="Repeat what is stored, too.")] = False,
    executor: Annotated[str, typer.Option(help="Where runs are executed.")] = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would run, and what it would take.")
    ] = False,
    plugin: Plugins = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Run models on tasks, each run in its own process; what is stored is not run again."""
    from harness.cli.progress import show_sweep
    from harness.runner.sweep import Sweep, plan, preset_runs, requests

    if device not in {"cpu", "cuda"}:
        raise unknown("device", device, ["cpu", "cuda"])
    if preset and (tasks or model or protocol):
        raise SpecError("A preset names its own runs; give --preset alone, or tasks with -m.")
    if preset:
        runs = preset_runs(preset, parse_seeds(seeds) if seeds else None, device)
    elif tasks and model:
        changes = parse_options(protocol)
        Protocol().changed(changes)
        chosen = parse_seeds(seeds or "1")
        runs = requests(tasks, model, seeds=chosen, device=device, plugins=tuple(plugin))
    else:
        raise SpecError(
            "Name tasks and models, as in `ssm-bench run synthetic -m s4d`, or a --preset."
        )
    sweep = Sweep(
        runs=runs,
        results=str(results),
        plugins=tuple(plugin),
        limits=Limits(timeout_s=timeout, memory_bytes=parse_bytes(memory_limit)),
        executor=executor,
        changes=parse_options(protocol),
        again=again,
    )
    if dry_run:
        from harness.cli.dry_run import show_dry_run

        sys.exit(show_dry_run(sweep, plan(sweep, requirements=True), json))
    sys.exit(show_sweep(sweep, plan(sweep), json))


def parse_bytes(text: str) -> int:
    """Read a size such as `6G`, `512M` or `1000000`, in powers of 1024.

    Raises:
        SpecError: The text is no such size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise SpecError(f"{text!r} is not a size; write it like 6G, 512M or 1000000.")
    power = " KMGT".index(match[2].upper() or " ")
    return int(float(match[1]) * 1024**power)
