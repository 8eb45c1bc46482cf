"""The application that the verbs join, and the options that several of them take."""

from pathlib import Path
from typing import Annotated

import typer

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
