"""Checks one plugin in a process of its own: `python -m harness.testing KIND NAME`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from harness.core.errors import SpecError
from harness.testing.run import KINDS, run_checks


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a plugin and print a line for each result.

    Returns:
        0 if no check failed, 1 if one did or could not be made, 2 if there is no such plugin.
    """
    parser = argparse.ArgumentParser(prog="python -m harness.testing", description=__doc__)
    parser.add_argument("kind", choices=("auto", *KINDS))
    parser.add_argument("name", help="a name with or without options: s4d[state=8]")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE")
    parser.add_argument("--device", default="cpu", help="where a model's networks compute")
    parser.add_argument("--json", action="store_true", help="print each result as a JSON object")
    given = parser.parse_args(arguments)
    failed = False
    try:
        for result in run_checks(given.kind, given.name, tuple(given.plugin), given.device):
            failed |= result.outcome in {"failed", "not-checked"}
            text = f"{result.outcome:15}{result.name}  {result.reason}".rstrip()
            line = msgspec.json.encode(asdict(result)).decode() if given.json else text
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    except SpecError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
