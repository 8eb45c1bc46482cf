"""The command line: the only room that parses arguments, prints and exits.

Nothing heavy is imported at the start: each verb imports what it needs. Exit codes: 0 all went
well, 1 a run or a check failed, 2 the user's mistake, told in one sentence, 3 a claim is undecided,
130 interrupted, 143 ended by SIGTERM, 141 by a reader that has gone.
"""

import sys
from typing import NoReturn

import typer

from harness.cli import claims, data, plugins, predict, results, runs, store  # noqa: F401 - they add their verbs
from harness.cli.app import app
from harness.cli.process import inert, prepare
from harness.core.errors import SpecError, quoted

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Run the command line; a user's mistake, or a file's, is one sentence and exit code 2."""
    prepare()
    try:
        app()
    except SpecError as error:
        typer.echo(inert(f"ssm-bench: {error}"), err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        typer.echo(inert(f"ssm-bench: {quoted(str(error.filename))}: {error.strerror}."), err=True)
        sys.exit(2)
    sys.exit(0)
