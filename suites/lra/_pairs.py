"""LRA's pairs of papers, line by line: tables of gigabytes that are never whole in memory.

Source: Long Range Arena (Tay et al. 2020, arXiv 2011.04006) after the ACL Anthology Network (Radev
et al. 2013).
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from harness.api import SpecError

COLUMNS = 5
"""The label, two identifiers, two texts."""
LABELS = (0.0, 1.0)
GZIP = b"\x1f\x8b"
"""What every gzip file begins with."""
CHUNK = 1 << 20


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
        SpecError: The table is not there, or a line is none of a pair.
    """
    number = 0
    for number, line in enumerate(lines(path, table), 1):
        label, *rest = line.rstrip(b"\r\n").split(b"\t")
        if len(rest) != COLUMNS - 1 or (value := _number(label)) not in LABELS:
            raise SpecError(
                f"Line {number} of {table} in {path} is no pair of papers; it must have {COLUMNS} "
                f"columns between tabs, and the first must be 0 or 1."
            )
        yield Pair(int(value), (rest[2], rest[3]))
    if not number:
        raise SpecError(f"There is no {table} in {path}, or nothing is in it; fetch it again.")


def lines(path: Path, name: str) -> Iterator[bytes]:
    """Yield the lines of a file, or of the first member of an archive that has its name.

    An archive is read to its end, where the sum stands that says whether all bytes were right.

    Args:
        path: The file itself, a tar archive, or one that is packed with gzip.
        name: Of the file, without folders.

    Raises:
        SpecError: The archive is broken or cut short; perhaps only after all lines.
    """
    if path.name == name:
        with path.open("rb") as file:
            yield from file
        return
    try:
        with path.open("rb") as file:
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            # gzip's own reader checks lengths and sums, which tarfile's would not.
            plain = gzip.GzipFile(fileobj=file) if packed else file
            yield from _member(plain, name)
            while plain.read(CHUNK):
                pass
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise SpecError(
            f"The archive {path} cannot be read ({str(error) or type(error).__name__}); remove it, "
            "so that it is fetched again."
        ) from error


def _member(tar: BufferedIOBase, name: str) -> Iterator[bytes]:
    """Yield the lines of the first member of that name, whatever its folder."""
    with tarfile.open(fileobj=cast("BinaryIO", tar), mode="r|") as archive:
        for info in archive:
            if info.isreg() and info.name.rpartition("/")[2] == name:
                content = archive.extractfile(info)
                assert content is not None
                yield from content
                return


def _number(text: bytes) -> float:
    """Return a number, which LRA's code takes labels for; -1 for anything else."""
    try:
        return float(text)
    except ValueError:
        return -1.0
