"""The verbs that read what runs left."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import LOCAL, AsJson, Results, app, tell_faults
from harness.core.errors import SpecError


@app.command()
def report(
    results: Results = LOCAL,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to.", show_default="RESULTS/report")
    ] = None,
) -> None:
    """Print the tables, and write them with figures and one HTML page."""
    from harness.cli.terminal import Terminal
    from harness.report import print_tables, write
    from harness.results.destination import try_folder
    from harness.results.store import Store

    store, folder = Store(results), out or results / "report"
    records, damaged = store.records(), tell_faults(store)
    if not records:
        raise SpecError(f"There are no records in {str(results)!r}; `ssm-bench run` makes some.")
    try_folder(folder, "--out")
    # First the files, for a reader of tables may go away.
    paths = write(records, folder, list(map(str, store.faults())))
    print_tables(records, Terminal())
    typer.echo("\n".join(f"wrote {path}" for path in paths if path.suffix in {".html", ".md"}))
    sys.exit(1 if damaged else 0)


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
    from harness.cli.terminal import Terminal
    from harness.core import codec
    from harness.report import print_comparison
    from harness.results.compare import compare as compared
    from harness.results.compare import gate, sides

    first, second = sides(a, b, results)
    damaged = tell_faults(*dict.fromkeys((first.store, second.store)))
    comparison = compared(first.records, second.records)
    worse = gate(comparison, tolerance)
    if json:
        typer.echo(codec.encode({"comparison": comparison, "worse": worse}))
    else:
        console = Terminal()
        print_comparison(comparison, (a, b), console)
        better = f"Nothing is worse by more than {tolerance:.0%} and noise."
        console.print("\n".join(worse) or better, highlight=False, markup=False)
    sys.exit(1 if worse or damaged else 0)


@app.command()
def publish(
    results: Results = LOCAL,
    to: Annotated[Path, typer.Option(help="Versioned folder of records.")] = Path(
        "results/records/v1"
    ),
    tables: Annotated[bool, typer.Option(help="Draw the tables and figures anew.")] = True,
) -> None:
    """Add reviewed records to the versioned results, and draw their tables and figures anew."""
    from harness.report import write
    from harness.results.destination import try_folder
    from harness.results.publish import publish as published
    from harness.results.store import Store

    target, drawn = Store(to), to.parent.parent / "tables" / to.name
    damaged = tell_faults(Store(results), target)
    for folder in (to, drawn) if tables else (to,):
        try_folder(folder, "--to")
    moved, known, left = published(results, to)
    typer.echo(f"Added {moved} records to {to}; {known} were there, {left} are to be run again.")
    if tables:
        write(target.records(), drawn, list(map(str, target.faults())))
        typer.echo(f"Tables and figures: {drawn}")
    sys.exit(1 if damaged else 0)
