"""Whether results can be stored, asked before anything is run; and what is kept if a disk fills."""

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.core.config import RunSpec
from harness.core.errors import SpecError
from harness.core.record import Record
from harness.results.store import SETTLED, Store

ROOM = 1 << 20
"""Bytes that a folder must have room for: many records, or a report without its figures."""


@contextmanager
def writing(folder: Path, option: str) -> Iterator[None]:
    """Tell in a sentence that a folder cannot be written to.

    Args:
        folder: Where to.
        option: The option by which another is chosen.

    Raises:
        SpecError: What is done here fails for the disk, the folder or a file in the way.
    """
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename not in {None, str(folder)} else ""
        raise SpecError(
            f"Nothing can be written to {str(folder)!r}: {error.strerror}{where}; "
            f"put that right, or choose another folder with {option}."
        ) from error


def try_folder(folder: Path, option: str) -> None:
    """Make a folder, and see whether it has room.

    Raises:
        SpecError: It cannot be made or written to, or its disk is full.
    """
    with writing(folder, option):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(ROOM))
            probe.flush()
            os.fsync(probe.fileno())


def try_store(store: Store, runs: Iterable[RunSpec]) -> None:
    """See whether the records of runs can be stored.

    Raises:
        SpecError: They cannot.
    """
    paths = dict.fromkeys(map(store.path, runs))
    for folder in dict.fromkeys(path.parent for path in paths):
        try_folder(folder, "--results")
    for path in paths:
        with writing(path.parent, "--results"):
            if path.exists():
                path.open("ab").close()


def keep(store: Store, record: Record) -> None:
    """Store a record, elsewhere if that cannot be, and drop checkpoints that nobody needs now.

    Those of a trial are needed: the run that it decides may be the same training.

    Raises:
        SpecError: It is kept elsewhere; the sentence says where, and how to bring it home.
    """
    try:
        store.append(record)
        if record.outcome in SETTLED and not record.trial:
            drop_checkpoints(store, record.spec)
    except OSError as error:
        spare, path = Store(tempfile.mkdtemp(prefix="ssm-bench-")), store.path(record.spec)
        spare.append(record)
        kept = spare.path(record.spec)
        raise SpecError(
            f"{str(path)!r} cannot be written: {error.strerror}; the record of the run that was "
            f"just done is kept in {str(kept)!r}. Put that right, then "
            f"`cat {shlex.quote(str(kept))} >> {shlex.quote(str(path))}`, and the same command "
            "goes on from there."
        ) from error


def drop_checkpoints(store: Store, spec: RunSpec) -> None:
    """Remove what a training could go on from, if there is anything."""
    shutil.rmtree(store.checkpoints(spec), ignore_errors=True)
