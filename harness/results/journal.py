"""One file of records as it grows: what was read of it stays known, and only what is new is read.

A file is appended to. One that is not what it was, since it was upgraded or repaired, is read from
its beginning. No torch.
"""

import errno
import fcntl
import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.core import codec
from harness.core.errors import brief
from harness.core.record import SCHEMA, Record
from harness.results.schema import MALFORMED, NewerError, Raw, upgraded

OPENING = b'{"schema":'
"""How our lines begin, so that no one else's is cut off as a torn one of ours."""
PRESENT = OPENING + b"%d," % SCHEMA
"""How those of this version do, which need no upgrade."""
TAIL = 512
"""Bytes by which what was read is known again: its last, since they hold times and loads."""
READER = codec.decoder(Record)


class TornLineWarning(UserWarning):
    """A file ends in the middle of a line: its last writer was stopped."""


@dataclass(frozen=True)
class Fault:
    """A line that cannot be read, or a whole file, and why."""

    path: Path
    line: int
    """Counted from 1; 0 for the whole file."""
    why: str
    newer: bool = False
    """Another version wrote it: it is a record, though not one that can be read here."""

    def __str__(self) -> str:
        where = f"{self.path}, line {self.line}" if self.line else str(self.path)
        return f"{where}: {self.why}"


class Entry(NamedTuple):
    """Where a record stands."""

    path: Path
    start: int
    """Bytes before its line."""
    size: int


class Journal:
    """A file of records, and how far it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._torn: tuple[int, ...] = ()
        self._forget()

    def _forget(self) -> None:
        """Know nothing of the file."""
        self.faults: list[Fault] = []
        self._entries: dict[str, list[Entry]] = {}
        self._stamp: tuple[int, ...] = ()
        self._end = self._lines = 0
        self._tail: bytes | None = b""

    @property
    def runs(self) -> Collection[str]:
        """The names of those that are known to stand there."""
        return self._entries.keys()

    def catch_up(self) -> None:
        """Read what came since the last look."""
        for _ in self.read():
            pass

    def read(self, *, afresh: bool = False) -> Iterator[tuple[Entry, Record]]:
        """Yield what came since the last look, or all; what cannot be read is among the faults."""
        try:
            if not afresh and _stamp(self.path.stat()) == self._stamp:
                return
            text, stamp = self._news(afresh=afresh)
        except OSError as error:
            self._forget()
            self.faults = [Fault(self.path, 0, f"{error.strerror}.")]
            return
        place = 0
        while (end := text.find(b"\n", place)) >= 0:
            yield from self._line(text[place:end])
            place = end + 1
        self._tail = ((self._tail or b"") + text[max(place - TAIL, 0) : place])[-TAIL:]
        rest = text[place:]
        if rest and is_json(rest):
            yield from self._line(rest)
            self._tail = None  # its end is still to come, so next time all is read
        elif rest and stamp != self._torn:
            self._torn = stamp
            why = "ends in the middle of a line, which is ignored: its writer was stopped."
            warnings.warn(f"{self.path} {why}", TornLineWarning, stacklevel=2)
        self._stamp = stamp

    def find(self, run_id: str) -> list[Record]:
        """Return a run's records as they are now, in the order of their lines."""
        while True:
            self.catch_up()
            if run_id not in self._entries:
                return []
            with suppress(OSError), opened(self.path) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                if _stamp(os.fstat(file.fileno())) == self._stamp:
                    return [_read(file, entry) for entry in self._entries[run_id]]

    def _news(self, *, afresh: bool) -> tuple[bytes, tuple[int, ...]]:
        """Return what stands behind what is known, with the file's stamp.

        Nothing is known any more if that is not there.
        """
        with opened(self.path) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            stamp = _stamp(os.fstat(file.fileno()))
            file.seek(max(self._end - TAIL, 0))
            if afresh or file.read(min(self._end, TAIL)) != self._tail:
                self._forget()
                file.seek(0)
            return file.read(), stamp

    def _line(self, line: bytes) -> Iterator[tuple[Entry, Record]]:
        """Take the next line."""
        entry = Entry(self.path, self._end, len(line))
        self._end += len(line) + 1
        self._lines += 1
        try:
            if not line.strip():
                return
            record = decoded(line)
        except ValueError as error:
            newer = isinstance(error, NewerError)
            self.faults.append(Fault(self.path, self._lines, str(error), newer))
            return
        self._entries.setdefault(record.run_id, []).append(entry)
        yield entry, record


def reread(entry: Entry) -> Record | None:
    """Read a record again; None if it does not stand there any more."""
    try:
        with opened(entry.path) as file:
            return _read(file, entry)
    except (OSError, ValueError):
        return None


def _read(file: BufferedReader, entry: Entry) -> Record:
    return decoded(os.pread(file.fileno(), entry.size, entry.start))


def opened(path: Path) -> BufferedReader:
    """Open what is a file; a pipe would keep its reader waiting."""
    if not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "Not a file")
    return path.open("rb")


def _stamp(state: os.stat_result) -> tuple[int, ...]:
    return state.st_ino, state.st_size, state.st_mtime_ns


def is_json(line: bytes) -> bool:
    """Tell a whole line from a torn one: no beginning of an object is an object."""
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def decoded(line: bytes) -> Record:
    """Read a line.

    Raises:
        ValueError: It is no record; a `NewerError` if another version wrote it.
    """
    try:
        record = _present(line) or codec.convert(
            upgraded(msgspec.json.decode(line, type=Raw)), Record
        )
        _ = record.place, record.disturbed  # of `machine`, which no type describes
    except NewerError:
        raise
    except MALFORMED as error:
        why = f"not a record ({brief(error)}); `ssm-bench store repair` sets it aside."
        raise ValueError(why) from error
    return record


def _present(line: bytes) -> Record | None:
    """Read a line of this version at once, if it is one; it takes a fifth of the long way."""
    if line.startswith(PRESENT):
        with suppress(*MALFORMED):
            record = READER.decode(line)
            return record if record.schema == SCHEMA else None
    return None
