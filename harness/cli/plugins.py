"""The verbs about models and tasks themselves, and about this installation."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import KINDS, AsJson, Device, Plugins, app, known_device
from harness.core.errors import SpecError, unknown


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="models, tasks or presets; all of them if left out.")
    ] = "",
    plugin: Plugins = [],  # noqa: B006 - typer reads defaults, and nobody changes this one
    json: AsJson = False,
) -> None:
    """Show models, tasks and presets, and where each came from."""
    from harness.plugins.listing import as_json, as_text

    if what and what not in KINDS:
        raise unknown("kind of plugin", what, list(KINDS))
    kinds, width = (what,) if what else KINDS, shutil.get_terminal_size().columns
    typer.echo(as_json(tuple(plugin), kinds) if json else as_text(tuple(plugin), kinds, width))


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A model or a task, with options or not.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Check all models and tasks.")] = False,
    device: Device = "cpu",
    plugin: Plugins = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Check that a model or a task keeps the contract; each check says what failed and where."""
    import subprocess

    from harness.plugins import check_all

    if every == bool(name):
        raise SpecError("Name a model or a task to be checked, or give --all.")
    check_all.refuse_absent(known_device(device))
    if not every:
        words = check_all.command("auto", name, tuple(plugin), device) + ["--json"] * json
        encoding = "utf-8" if json else sys.stdout.encoding
        sys.exit(subprocess.call(words, env=check_all.environment(encoding)))
    failed, unchecked, width = False, 0, shutil.get_terminal_size().columns
    typer.echo(check_all.HEADING, err=json)
    for verdict in check_all.check_all(tuple(plugin), device):
        failed |= bool(verdict.complaints)
        unchecked += bool(verdict.unchecked)
        typer.echo(verdict.as_json() if json else verdict.as_text(width))
    if unchecked:
        typer.echo(
            f"Not all was checked: {unchecked} lack files, which says nothing of them.", err=json
        )
    sys.exit(1 if failed else 0)


@app.command()
def cite(
    models: Annotated[list[str], typer.Argument(help="Models, such as s4d.")],
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Print the BibTeX entries of the papers that models follow."""
    from harness.plugins import cite as bibliography

    typer.echo(bibliography.cite(models, tuple(plugin)))


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="model or task.")],
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits, dashes.")],
    folder: Annotated[Path, typer.Option(help="Where the package's folder is made.")] = Path(),
    network: Annotated[
        bool, typer.Option("--network", help="A model that builds its whole network.")
    ] = False,
) -> None:
    """Write a complete, passing plugin package to start from."""
    from harness.plugins.scaffold import create
    from harness.results.destination import writing

    if kind not in {"model", "task"}:
        raise unknown("kind of plugin", kind, ["model", "task"])
    if network and kind == "task":
        raise SpecError("Only a model may be a network; leave --network out for a task.")
    with writing(folder, "--folder"):
        path = create("model" if kind == "model" else "task", name, folder, network=network)
    place = path if path.is_absolute() else f"./{path}"  # a bare name would be an index's package
    typer.echo(f"Wrote {path}. Next: pip install --editable {place} && ssm-bench check {name}")


@app.command()
def doctor(plugin: Plugins = [], json: AsJson = False) -> None:  # noqa: B006
    """Test the instrument, and say what this installation can do and what is missing for what."""
    import msgspec

    from harness.cli.doctor import findings

    marks, wrong = {"ok": "ok     ", "missing": "missing", "wrong": "WRONG  "}, False
    for finding in findings(tuple(plugin)):
        wrong |= finding.status == "wrong"
        line = f"{marks[finding.status]} {finding.subject:<12} {finding.said}"
        typer.echo(msgspec.json.encode(finding) if json else line)
    sys.exit(1 if wrong else 0)
