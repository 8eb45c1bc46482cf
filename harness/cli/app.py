"""The application that the verbs join, and the options that several of them take."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness import __version__
from harness.cli.process import answered, inert
from harness.core.errors import unknown
from harness.results.store import Store


class Verbs(TyperGroup):
    """The verbs, of which none ends in a traceback because its reader or its user has gone."""

    def invoke(self, ctx: Any) -> Any:
        """Do the verb that was asked for."""
        return answered(lambda: super(Verbs, self).invoke(ctx))


app = typer.Typer(
    name="ssm-bench",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and end, if it is asked for."""
    if wanted:
        typer.echo(f"ssm-bench {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=show_version, is_eager=True),
    ] = False,
) -> None:
    """Compare state space models with attention: accuracy, wall-clock and memory."""


KINDS = ("models", "tasks", "presets")

Results = Annotated[Path, typer.Option(help="Folder of records.")]
Plugins = Annotated[
    list[str], typer.Option("--plugin", help="A Python file with one more model or task.")
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
LOCAL = Path("results/local")


def known_device(name: str) -> str:
    """Return a device's name.

    Raises:
        SpecError: Nobody computes there.
    """
    if name not in {"cpu", "cuda"}:
        raise unknown("device", name, ["cpu", "cuda"])
    return name


def tell_faults(*stores: Store) -> bool:
    """Name what of stored results cannot be read, and so is left out; return whether any is."""
    faults = [fault for store in stores for fault in store.faults()]
    for fault in faults:
        typer.echo(inert(f"Left out: {fault}"), err=True)
    return bool(faults)
