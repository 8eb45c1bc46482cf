"""The verbs about the files that records lie in."""

import typer

from harness.cli.app import LOCAL, Results, app

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
