"""LRA's pairs of papers, line by line: tables of gigabytes that are never whole in memory.

Source: Long Range Arena (Tay et al. 2020, arXiv 2011.04006) after the ACL Anthology Network (Radev
et al. 2013).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.api import SpecError, members

COLUMNS = 5
"""The label, two identifiers, two texts."""
LABELS = (0.0, 1.0)


class Pair(NamedTuple):
    """Two papers."""

    label: int
    """Whether one cites the other."""
    texts: tuple[bytes, bytes]


def pairs(path: Path, table: str) -> Iterator[Pair]:
    """Read a table of pairs.

    A line is split at its tabs and at nothing else, as LRA's code does; S4's reads the table as CSV
    and thus takes quotation marks at the ends of a text for more than that.

    Args:
        path: The table itself, or a tar archive that has it somewhere.
        table: Its name without folders.

    Raises:
        SpecError: The table is not there, a line is none of a pair or has no end, or the archive
            is broken, which may show only after all lines.
    """
    number = 0
    for number, line in enumerate(_lines(path, table), 1):
        label, *rest = line.rstrip(b"\r\n").split(b"\t")
        if len(rest) != COLUMNS - 1 or (value := _number(label)) not in LABELS:
            raise SpecError(
                f"Line {number} of {table} in {path} is no pair of papers; it must have {COLUMNS} "
                f"columns between tabs, and the first must be 0 or 1."
            )
        if not line.endswith(b"\n"):
            raise SpecError(
                f"Line {number} of {table} in {path} has no end, as if the table were cut short; "
                "remove the file, so that it is fetched again."
            )
        yield Pair(int(value), (rest[2], rest[3]))
    if not number:
        raise SpecError(f"There is no {table} in {path}, or nothing is in it; fetch it again.")


def _lines(path: Path, table: str) -> Iterator[bytes]:
    """Yield the lines of a table, or of the first member of an archive that has its name.

    The archive is gone through to its end, where its sum stands.
    """
    if path.name == table:
        with path.open("rb") as file:
            yield from file
        return
    found = False
    for name, member in members(path, f"*{table}"):
        if not found and name.rpartition("/")[2] == table:
            found = True
            yield from member


def _number(text: bytes) -> float:
    """Return a number, which LRA's code takes labels for; -1 for anything else."""
    try:
        return float(text)
    except ValueError:
        return -1.0
