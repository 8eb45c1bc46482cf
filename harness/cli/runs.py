"""The verbs that plan and make runs."""

import re
import sys
from typing import Annotated

import typer

from harness.cli.app import LOCAL, AsJson, Device, Plugins, Results, app, known_device
from harness.core.config import Limits, Protocol, parse_options, parse_seeds
from harness.core.errors import SpecError

TIMEOUT = (
    "Seconds a run may take; 0: any. Fetching and drawing its data do not count, unless a file or "
    "a shard takes longer than 10 minutes."
)


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
    device: Device = "cpu",
    results: Results = LOCAL,
    timeout: Annotated[float, typer.Option(min=0, help=TIMEOUT)] = 0,
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

    known_device(device)
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


@app.command()
def ab(
    a: Annotated[str, typer.Argument(help="A model, such as s4d.")],
    b: Annotated[str, typer.Argument(help="The model that is measured beside it.")],
    tasks: Annotated[list[str], typer.Argument(help="What is measured; trainings work, too.")],
    rounds: Annotated[int, typer.Option(min=2, help="Processes of each model and length.")] = 5,
    protocol: Annotated[str, typer.Option(help="Change the protocol: 'batch=16'.")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    results: Results = LOCAL / "ab",
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Measure two models in turns, A B B A, each time in a new process, and compare them."""
    from harness.cli.progress import show_sweep
    from harness.cli.terminal import Terminal
    from harness.report import print_comparison
    from harness.results.compare import compare, sides
    from harness.runner.sweep import Sweep, in_turns, plan

    runs = in_turns(tasks, (a, b), rounds=rounds, device=device, plugins=tuple(plugin))
    changes = parse_options(protocol)
    Protocol().changed(changes)
    sweep = Sweep(
        runs=runs, results=str(results), plugins=tuple(plugin), changes=changes, again=True
    )
    code = show_sweep(sweep, plan(sweep), json=False)
    if code == 0:
        first, second = sides(a, b, results)
        print_comparison(compare(first.records, second.records), (a, b), Terminal())
    sys.exit(code)


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
