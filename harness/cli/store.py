"""The verbs about the files that records lie in."""

import sys

import typer

from harness.cli.app import LOCAL, Results, app
from harness.cli.process import inert

store = typer.Typer(
    help="Look after the files of records.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(store, name="store")


@store.command()
def upgrade(results: Results = LOCAL) -> None:
    """Rewrite the records of older versions as this one writes them."""
    from harness.results.schema import upgrade as upgraded

    typer.echo(f"Upgraded {upgraded(results)} records in {results}.")


@store.command()
def verify(results: Results = LOCAL) -> None:
    """Name every line and every file that cannot be read; exit 1 if there is one."""
    from harness.results.store import Store

    stored = Store(results)
    runs = len(stored.each(lambda record: record.run_id))  # which holds no record
    faults = stored.faults()
    typer.echo(inert("".join(f"{fault}\n" for fault in faults)), nl=False)
    typer.echo(f"Read {runs} runs; {len(faults)} lines or files cannot be read.")
    sys.exit(1 if faults else 0)


@store.command()
def repair(results: Results = LOCAL) -> None:
    """Move every line that is no record to a file beside its own; not a byte is lost."""
    from harness.results.destination import writing
    from harness.results.repair import repair as repaired

    with writing(results, "--results"):
        for path, lines, aside in repaired(results):
            typer.echo(f"Moved {lines} lines of {path} to {aside}")
    verify(results)
