"""The command line: the only module that parses arguments, prints and exits.

Nothing heavy is imported at the start: each verb imports what it needs. Exit codes: 0 all went
well, 1 a run or a check failed, 2 the user's mistake, told in one sentence, 130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.spec import Limits, Protocol, RunSpec, SpecError, parse_bytes, parse_options, unknown

app = typer.Typer(
    name="ssm-bench",
    help="Compare state space models with attention: accuracy, wall-clock and memory.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
KINDS = ("models", "tasks", "presets")

Results = Annotated[Path, typer.Option(help="Folder of records.")]
Plugins = Annotated[
    list[str], typer.Option("--plugin", help="A Python file with one more model or task.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
LOCAL = Path("results/local")
WIDE = 144
"""Columns that the tables of a report need."""


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="models, tasks or presets; all of them if left out.")
    ] = "",
    plugin: Plugins = [],  # noqa: B006 - typer reads defaults, and nobody changes this one
    json: AsJson = False,
) -> None:
    """Show models, tasks and presets, and where each came from."""
    from harness.listing import as_json, as_text

    if what and what not in KINDS:
        raise unknown("kind of plugin", what, list(KINDS))
    show = as_json if json else as_text
    typer.echo(show(tuple(plugin), (what,) if what else KINDS))


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
        int | None, typer.Option(min=1, help="Seeds 0 to N-1 of each run.", show_default="1")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Change the protocol: 'steps=200,batch=16'.")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    results: Results = LOCAL,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds a run may take; 0: any.")] = 0,
    memory_limit: Annotated[str, typer.Option(help="Memory a run may use, such as 6G.")] = "0",
    executor: Annotated[str, typer.Option(help="Where runs are executed.")] = "local",
    plugin: Plugins = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Run models on tasks, each run in its own process; what is stored is not run again."""
    from harness.runner import Sweep, plan, preset_runs, requests
    from harness.terminal import carry_out

    if device not in {"cpu", "cuda"}:
        raise unknown("device", device, ["cpu", "cuda"])
    if preset and (tasks or model or protocol):
        raise SpecError("A preset names its own runs; give --preset alone, or tasks with -m.")
    if preset:
        runs = preset_runs(preset, seeds, device)
    elif tasks and model:
        changes = parse_options(protocol)
        Protocol().changed(changes)
        common = RunSpec(task="", model="", device=device)
        runs = requests(tasks, model, seeds or 1, common, tuple(plugin))
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
    )
    sys.exit(carry_out(sweep, plan(sweep), json))


@app.command()
def report(
    results: Results = LOCAL,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to.", show_default="RESULTS/report")
    ] = None,
) -> None:
    """Print the tables, and write them with figures and one HTML page."""
    from rich.console import Console

    from harness.report import print_tables, write
    from harness.store import Store

    records = Store(results).records()
    if not records:
        raise SpecError(f"There are no records in {str(results)!r}; `ssm-bench run` makes some.")
    terminal = Console()
    # A table of names with options is no longer one when they are broken to fit 80 columns.
    print_tables(records, Console(width=max(terminal.width, WIDE)))
    paths = write(records, out or results / "report")
    typer.echo("\n".join(f"wrote {path}" for path in paths if path.suffix in {".html", ".md"}))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A model, or a folder of results.")],
    b: Annotated[str, typer.Argument(help="What is compared with it.")],
    results: Results = LOCAL,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Share by which B may be worse than A.")
    ] = 0.05,
    json: AsJson = False,
) -> None:
    """Compare two models, or two folders of results; exit 1 if B is worse beyond noise."""
    import msgspec
    from rich.console import Console

    from harness.compare import compare as compared
    from harness.compare import gate, sides
    from harness.report import print_comparison

    comparison = compared(*sides(a, b, results))
    worse = gate(comparison, tolerance)
    if json:
        typer.echo(msgspec.json.encode({"comparison": comparison, "worse": worse}).decode())
    else:
        print_comparison(comparison, (a, b), Console())
        typer.echo("\n".join(worse) or f"Nothing is worse by more than {tolerance:.0%} and noise.")
    sys.exit(1 if worse else 0)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A model or a task, with options or not.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Check all models and tasks.")] = False,
    plugin: Plugins = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Check that a model or a task keeps the contract; each check says what failed and where."""
    import subprocess

    from harness import checkup

    if every == bool(name):
        raise SpecError("Name a model or a task to be checked, or give --all.")
    if not every:
        sys.exit(subprocess.call(checkup.command("auto", name, tuple(plugin)) + ["--json"] * json))
    failed = False
    typer.echo(checkup.HEADING, err=json)
    for verdict in checkup.examine(tuple(plugin)):
        failed |= bool(verdict.complaints)
        typer.echo(verdict.as_json() if json else verdict)
    sys.exit(1 if failed else 0)


@app.command()
def cite(
    models: Annotated[list[str], typer.Argument(help="Models, such as s4d.")],
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Print the BibTeX entries of the papers that models follow."""
    from harness import cite as bibliography

    typer.echo(bibliography.cite(models, tuple(plugin)))


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="model or task.")],
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits, dashes.")],
    folder: Annotated[Path, typer.Option(help="Where the package's folder is made.")] = Path(),
) -> None:
    """Write a complete, passing plugin package to start from."""
    from harness.scaffold import create

    if kind not in {"model", "task"}:
        raise unknown("kind of plugin", kind, ["model", "task"])
    path = create("model" if kind == "model" else "task", name, folder)
    place = path if path.is_absolute() else f"./{path}"  # a bare name would be an index's package
    typer.echo(f"Wrote {path}. Next: pip install {place} && ssm-bench check {name}")


@app.command()
def doctor(plugin: Plugins = [], json: AsJson = False) -> None:  # noqa: B006
    """Test the instrument, and say what this installation can do and what is missing for what."""
    import msgspec

    from harness.doctor import examine

    marks, wrong = {"ok": "ok     ", "missing": "missing", "wrong": "WRONG  "}, False
    for finding in examine(tuple(plugin)):
        wrong |= finding.status == "wrong"
        line = f"{marks[finding.status]} {finding.subject:<12} {finding.said}"
        typer.echo(msgspec.json.encode(finding).decode() if json else line)
    sys.exit(1 if wrong else 0)


@app.command()
def publish(
    results: Results = LOCAL,
    to: Annotated[Path, typer.Option(help="Versioned folder of records.")] = Path(
        "results/records/v1"
    ),
) -> None:
    """Add reviewed records to the versioned results, and draw their tables and figures anew."""
    from harness.publish import publish as published
    from harness.report import write
    from harness.store import Store

    moved, known, left = published(results, to)
    tables = to.parent.parent / "tables" / to.name
    write(Store(to).records(), tables)
    typer.echo(
        f"Added {moved} records to {to}; {known} were there, {left} are to be run again. "
        f"Tables and figures: {tables}"
    )


def main() -> NoReturn:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    try:
        app()
    except SpecError as error:
        typer.echo(f"ssm-bench: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
