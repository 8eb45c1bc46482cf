"""The verbs about the data of tasks: what there is, to have it, to check it, to look at it."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.app import AsJson, Plugins, app
from harness.core.errors import SpecError, unknown

if TYPE_CHECKING:
    from harness.data.inspect import Inspection, Spread

WIDEST = 40
"""Characters of the longest bar of a histogram."""
MOST_LABELS = 20
"""Labels of which a histogram has a line."""

data = typer.Typer(
    help="See, fetch, check and inspect the data of tasks.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data, name="data")

Tasks = Annotated[list[str] | None, typer.Argument(help="Tasks or suites; all if left out.")]


@data.command("list")
def list_(tasks: Tasks = None, plugin: Plugins = [], json: AsJson = False) -> None:  # noqa: B006
    """Show what each task needs, what of it is here, and where."""
    import msgspec
    from rich.filesize import decimal
    from rich.text import Text

    from harness.cli.terminal import Terminal
    from harness.data.inventory import data_status, select_tasks
    from harness.report.layout import Fitted

    found = [data_status(*task) for task in select_tasks(tasks or [], tuple(plugin))]
    if json:
        typer.echo(msgspec.json.encode(found))
        return
    rows = []
    for have in found:
        known = decimal(sum(file.size or 0 for file in have.files))
        size = "size unknown" if any(file.size is None for file in have.files) else known
        files, there = len(have.files), len(have.files) - len(have.missing)
        noun = "file" if files == 1 else "files"
        needs = f"{files} {noun}, {size}" if files else "no download"
        here = f"{there} of {files}" if files else ""
        cached = f"{have.shards} shards, {decimal(have.shard_bytes)}" if have.shards else ""
        folder = have.folder if there or cached else ""
        rows.append([*map(Text, (have.task, needs, here, cached, folder))])
    columns = ("task", "needs", "here", "cached", "folder")
    Terminal().print(Fitted(columns, rows, labels=4, prose=1))


@data.command()
def fetch(
    tasks: Annotated[list[str], typer.Argument(help="Tasks or suites.")],
    split: Annotated[str, typer.Option(help="Only train, validation or test.")] = "",
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Download what tasks need, and draw or parse what is cached of it, so that runs need not."""
    from harness.contract.task import SPLITS
    from harness.data.inventory import ensure, select_tasks

    if split and split not in SPLITS:
        raise unknown("split", split, list(SPLITS))
    wanted = tuple(s for s in SPLITS if split in {"", s})
    for name, task in select_tasks(tasks, tuple(plugin)):
        sizes = list(ensure(task, wanted))
        outcome = f"{sum(sizes):,} examples in {len(sizes)} shards" if sizes else "needs nothing"
        typer.echo(f"{name}: {outcome}")


@data.command()
def verify(tasks: Tasks = None, plugin: Plugins = []) -> None:  # noqa: B006
    """Hash files and read cached shards again; exit 1 if one is not what it should be."""
    from harness.data.inventory import data_status, faults, select_tasks

    wrong, looked = 0, 0
    for name, task in select_tasks(tasks or [], tuple(plugin)):
        for fault in faults(name, task):
            wrong += 1
            typer.echo(f"{name}: {fault}")
        have = data_status(name, task)
        looked += len(have.files) - len(have.missing) + have.shards
    typer.echo(f"Looked at {looked} files and shards; {wrong} are wrong.")
    sys.exit(1 if wrong else 0)


@data.command()
def path(
    task: Annotated[str, typer.Argument(help="A task; the folder of all data if left out.")] = "",
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Print the folder where data lie, or those of one task."""
    from harness.data.cache import data_dir
    from harness.data.inventory import location, select_tasks

    tasks = select_tasks([task], tuple(plugin)) if task else []
    folders = dict.fromkeys(location(each) for _, each in tasks) or [data_dir()]
    typer.echo("\n".join(map(str, folders)))


@data.command()
def inspect(
    task: Annotated[str, typer.Argument(help="A task, with options or not.")],
    n: Annotated[
        int, typer.Option("--n", min=0, help="Examples to look at.", show_default="up to 1000")
    ] = 0,
    shortcuts: Annotated[
        bool, typer.Option("--shortcuts", help="Search for shortcuts; takes up to a minute.")
    ] = False,
    plugin: Plugins = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Show split sizes, labels, lengths, the speed of drawing, chance, and what shortcuts reach."""
    import msgspec

    from harness.data.inspect import inspect as inspected
    from harness.plugins.loading import build

    recipe = build("task", task, tuple(plugin))
    if not recipe.learns:
        raise SpecError(f"{task!r} is measured, not learned: it has no data to inspect.")
    seen = inspected(task, recipe, n, shortcuts=shortcuts)
    typer.echo(msgspec.json.encode(seen) if json else "\n".join(lines(seen)))


def lines(seen: "Inspection") -> list[str]:
    """Write an inspection for people."""
    sizes = ", ".join(f"{split} {size:,}" for split, size in seen.sizes.items())
    speed = "" if seen.per_second is None else f", drawn at {seen.per_second:,.4g} a second"
    few = seen.lengths
    told = [
        f"{seen.task}, version {seen.version}",
        f"splits     {sizes}",
        f"looked at  {seen.looked_at:,} examples{speed}",
        f"lengths    mean {few.mean:,.4g}, median {few.median:,.4g}, {ends(few)}",
        f"chance     {seen.metric} {seen.chance:.4g}",
    ]
    for name in dict.fromkeys([*seen.stated, *seen.found]):
        parts = (("stated", seen.stated), ("found here", seen.found))
        figures = ", ".join(f"{word} {of[name]:.4g}" for word, of in parts if name in of)
        told.append(f"shortcut   {name}: {figures}")
    for each in seen.searched:
        beside = f"does not apply: {each.reason}"
        if each.score is not None:
            beside = f"{each.score:.4g} ± {each.error:.2g}, chance {seen.chance:.4g}"
        told.append(f"searched   {each.predictor}: {beside}")
    if seen.values is not None:
        told.append(f"targets    mean {seen.values.mean:.4g}, {ends(seen.values)}")
    return told + bars(seen.labels or {})


def ends(few: "Spread") -> str:
    """Write the least and the most."""
    return f"range {few.least:,.4g} to {few.most:,.4g}"


def bars(labels: Mapping[int, int]) -> list[str]:
    """Draw how often labels occur, the commonest with the longest bar."""
    total, top = sum(labels.values()), max(labels.values(), default=1)
    shown = list(labels.items())[:MOST_LABELS]
    drawn = [
        f"  {label:>6}  {count / total:6.1%}  {'█' * round(WIDEST * count / top)}"
        for label, count in shown
    ]
    more = len(labels) - len(shown)
    heading = [f"labels     {total:,} of {len(labels)} kinds"] if labels else []
    return heading + drawn + ([f"  and {more} more"] if more else [])
