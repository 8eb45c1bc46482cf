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
    forms: Annotated[
        str, typer.Option("--format", help="What to write: md, csv, parquet, latex, html.")
    ] = "md,csv,html",
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Say which files the records do not give."),
    ] = False,
) -> None:
    """Print the tables, and write them with figures and one HTML page."""
    import webbrowser

    from harness.cli.terminal import Terminal
    from harness.report import differing, print_tables, write
    from harness.results.destination import try_folder
    from harness.results.store import Store

    store, folder = Store(results), out or results / "report"
    records, damaged = store.records(), tell_faults(store)
    if not records:
        raise SpecError(f"There are no records in {str(results)!r}; `ssm-bench run` makes some.")
    if check:
        differ = differing(records, folder, list(map(str, store.faults())), forms.split(","))
        sentences = [f"{path} is not what its records give." for path in differ]
        typer.echo("\n".join(sentences or [f"{folder} is what its records give."]))
        sys.exit(1 if damaged or differ else 0)
    try_folder(folder, "--out")
    # First the files, for a reader of tables may go away.
    wanted = dict.fromkeys([*forms.split(","), *["html"] * show])
    paths = write(records, folder, list(map(str, store.faults())), list(wanted))
    if show:
        webbrowser.open((folder / "report.html").resolve().as_uri())
    print_tables(records, Terminal())
    typer.echo("\n".join(f"wrote {path}" for path in paths if path.stem == "report"))
    sys.exit(1 if damaged else 0)


@app.command()
def view(
    results: Results = LOCAL,
    port: Annotated[int, typer.Option(help="Where; 0 for a port that is free.")] = 0,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve the page to this machine alone; it follows a running sweep until it is stopped."""
    import webbrowser

    from harness.report.live import server
    from harness.results.store import Store

    with server(Store(results), port) as serving:
        address = f"http://127.0.0.1:{serving.server_port}/"
        typer.echo(f"{address} shows {str(results)!r}; stop it with Ctrl+C.")
        if show:
            webbrowser.open(address)
        serving.serve_forever()


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A model, a folder of results, or REVISION:FOLDER.")],
    b: Annotated[str, typer.Argument(help="What is compared with it.")],
    results: Results = LOCAL,
    fail_on: Annotated[
        str, typer.Option(help="How much worse B may be: points of a score, or shares.")
    ] = "score:-5%,time:+5%,memory:+5%",
    json: AsJson = False,
) -> None:
    """Compare models, folders, or git revisions; exit 1 if B is worse, 2 if nothing can be said."""
    from harness.cli.terminal import Terminal
    from harness.core import codec
    from harness.report import print_comparison
    from harness.results.compare import compare as compared
    from harness.results.compare import sides
    from harness.results.gate import gate, parse_allowances

    allowed = parse_allowances(fail_on)
    first, second = sides(a, b, results)
    damaged = tell_faults(*dict.fromkeys((first.store, second.store)))
    comparison = compared(first.records, second.records)
    verdict = gate(comparison, allowed)
    if json:
        typer.echo(codec.encode({"comparison": comparison, "verdict": verdict}))
    else:
        console = Terminal()
        print_comparison(comparison, (a, b), console)
        told = [*verdict.failed, *filter(None, [verdict.unjudged])]
        better = f"Nothing is worse beyond {fail_on} and noise."
        console.print("\n".join(told) or better, highlight=False, markup=False)
    sys.exit(verdict.code or (1 if damaged else 0))


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


@app.command()
def published(
    task: Annotated[str, typer.Argument(help="A task or a suite; a paper's own name, too.")],
    model: Annotated[
        list[str], typer.Option("-m", "--model", help="A model, ours or a paper's; repeat.")
    ] = [],  # noqa: B006 - typer reads defaults, and nobody changes this one
    results: Annotated[
        Path | None, typer.Option(help="Folder of records to be set beside them.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Print what papers report for a task, the best first, and where it was read."""
    from harness.cli.terminal import Terminal
    from harness.core import codec
    from harness.report import Report, print_published
    from harness.report.agreement import measured
    from harness.results.agreement import agreements
    from harness.results.published import chosen, published_costs, published_figures
    from harness.results.store import Store

    scores, spent = published_figures(), published_costs()
    every = (*scores, *spent)
    found, paid = chosen(scores, task, model, every), chosen(spent, task, model, every)
    if not found and not paid:
        raise SpecError(
            f"Nothing is published of {', '.join(model)} on {task!r}; without -m, all there is."
        )
    store = Store(results) if results else None
    damaged = store is not None and tell_faults(store)
    report = Report(store.records() if store else [])
    beside = [each for each in report.beside if each.there in found]
    if json:
        rows = (*found, *paid, *(each.flat() for each in beside))
        typer.echo(b"\n".join(map(codec.encode, rows)))
    else:
        agreeing = agreements(found, measured(report.groups, found))
        print_published(found, paid, beside, agreeing, Terminal())
    sys.exit(1 if damaged else 0)
