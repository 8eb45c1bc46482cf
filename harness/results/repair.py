"""Sets lines aside that are no records; every byte of them is kept."""

import fcntl
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from harness.results.journal import decoded
from harness.results.schema import NewerError, record_files

ASIDE = ".damaged"
"""What the name of a file gets beside it that holds its damaged lines."""
BEFORE = ".before-repair"
"""The same of the copy that is there while a file is written anew."""


class Repaired(NamedTuple):
    """What was done to a file."""

    path: Path
    lines: int
    aside: Path
    """Where the lines are now."""


def repair(folder: Path) -> Iterator[Repaired]:
    """Move the damaged lines of every file of a folder to a file beside it.

    What another version of this program wrote stays where it is.

    Raises:
        OSError: A file cannot be written; nothing is lost then.
    """
    for path in record_files(folder):
        if path.is_file() and (moved := _repair(path)):
            yield Repaired(path, moved, _beside(path, ASIDE))


def _repair(path: Path) -> int:
    """Move a file's damaged lines, and return how many there were.

    The file stays the same one, for a writer may be waiting for its lock.
    """
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        whole = file.read()
        lines = BytesIO(whole).readlines()
        damaged = [line for line in lines if not _readable(line)]
        if not damaged:
            return 0
        before = _beside(path, BEFORE)
        _to_disk(before, whole, "wb")
        _to_disk(_beside(path, ASIDE), b"".join(map(_ended, damaged)), "ab")
        file.seek(0)
        file.write(b"".join(line for line in lines if line not in damaged))
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    before.unlink()
    return len(damaged)


def _readable(line: bytes) -> bool:
    try:
        decoded(line)
    except NewerError:
        return True
    except ValueError:
        return not line.strip()
    return True


def _ended(line: bytes) -> bytes:
    """Give a last line its end, so that what is added later is a line of its own."""
    return line if line.endswith(b"\n") else line + b"\n"


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _to_disk(path: Path, content: bytes, mode: str) -> None:
    with path.open(mode) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
