"""Keeps records as JSON lines: one file a (task, model), appended to and never rewritten.

A writer holds the file's lock and has the line on the disk before it returns, so whatever ends a
sweep leaves all finished runs. A line torn by a crash is ignored, with a warning, and cut off by
the next writer; another line that cannot be read hides no other, and is a fault with its place. No
torch.
"""

import fcntl
import math
import os
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path
from typing import TypeVar

from harness.core import codec
from harness.core.config import Limits, RunSpec
from harness.core.errors import SpecError
from harness.core.garbage import uncollected
from harness.core.messages import Planned
from harness.core.record import Outcome, Record, digests
from harness.results.journal import OPENING, Entry, Fault, Journal, is_json, reread
from harness.results.schema import record_files

T = TypeVar("T")
SETTLED: frozenset[Outcome] = frozenset({"ok", "skipped", "diverged"})
"""Outcomes that another try with the same seed would repeat."""
BOUNDED: frozenset[Outcome] = frozenset({"out-of-memory", "timed-out"})
"""Outcomes that larger limits might change."""


class Store:
    """The records below a folder."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._journals: dict[Path, Journal] = {}
        self._looked: dict[str, list[Journal]] | None = None
        """Where runs stood when all files were looked through."""

    def append(self, record: Record) -> None:
        """Add a record; it is on the disk when this returns.

        Raises:
            SpecError: A number is not finite; JSON has no such number and would hold a null.
            OSError: It cannot be written; the file is left as it was.
        """
        for name in codec.not_finite(codec.builtins(record), "record"):
            raise SpecError(f"{name} of run {record.run_id} is not finite; leave it out instead.")
        path = self.path(record.spec)
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "rb+", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            start = _heal(file)
            _extend(file, start + codec.encode(record) + b"\n")

    def path(self, spec: RunSpec) -> Path:
        """Return the file that a run's records belong to: its names without options choose it."""
        return self.folder / spec.task.name / f"{spec.model.name}.jsonl"

    def checkpoints(self, spec: RunSpec) -> Path:
        """Return the folder from which a run goes on that was ended, or only tried."""
        return self.folder / ".checkpoints" / spec.training.run_id

    def weights(self, run_id: str) -> Path:
        """Return the file of the network that a run trained, if it was kept."""
        return self.folder / "weights" / f"{run_id}.safetensors"

    def log(self, spec: RunSpec) -> Path:
        """Return the folder of what a run tells while it goes on, by names that people know."""
        return self.folder / "logs" / spec.task.name / spec.model.name / spec.run_id

    def records(self) -> list[Record]:
        """Return the record of every run, the latest, in the order in which the runs first came.

        A disturbed measurement does not take the place of a quieter one.

        A run of a plugin whose code has changed since stands beside the one of the new code.

        What cannot be read is left out; `faults` names it.
        """
        return self.each(lambda record: record)

    def each(self, make: Callable[[Record], T]) -> list[T]:
        """Return what is made of every record that `records` returns; these need not be held."""
        made: dict[tuple[str, ...], T] = {}
        places: dict[tuple[str, ...], Entry] = {}
        with uncollected():
            for journal in self._all():
                for entry, record in journal.read(afresh=True):
                    key = record.run_id, *record.digests.values()
                    known = reread(places[key]) if key in places else None
                    if known is None or not known.outweighs(record):
                        made[key], places[key] = make(record), entry
        return list(made.values())

    def faults(self) -> list[Fault]:
        """Return the lines and files that cannot be read, in the order of their paths."""
        return [fault for journal in self._caught_up() for fault in journal.faults]

    def get(self, run_id: str) -> Record | None:
        """Return the latest record of a run."""
        return latest(self._all(), run_id)

    def finished(self, run: Planned | Record, limits: Limits) -> Record | None:
        """Return the record that makes another try of a run needless, if there is one.

        A score, a skip and a divergence stand, as long as the code of the plugins is the same. What
        ran out of time or memory stands as long as no larger limit is asked for besides. What was
        killed or failed is tried again, and so is what was not run: that may have had a cause which
        is gone. So had a measurement that others disturbed; a training keeps its score.
        """
        record = self._known(run.spec)
        if record is None or record.digests != digests(run.sources):
            return None
        if record.measured is not None and record.disturbed:
            return None
        if record.outcome in SETTLED:
            return record
        stands = record.outcome in BOUNDED and _covers(record.limits, limits)
        return record if stands else None

    def _known(self, spec: RunSpec) -> Record | None:
        """Return the latest record of a run from its own file.

        Other files are looked through once, for somebody may have moved it.
        """
        if self._looked is None:
            self._looked = {}
            for journal in self._caught_up():
                for run_id in journal.runs:
                    self._looked.setdefault(run_id, []).append(journal)
        path, run_id = self.path(spec), spec.run_id
        own = self._journals.setdefault(path, Journal(path))
        found = {each.path: each for each in (own, *self._looked.get(run_id, ()))}
        return latest([found[each] for each in sorted(found)], run_id)

    def _all(self) -> list[Journal]:
        """Return all files there are now, in the order of their paths."""
        known, paths = self._journals, record_files(self.folder)
        self._journals = {path: known.get(path) or Journal(path) for path in paths}
        return list(self._journals.values())

    def _caught_up(self) -> list[Journal]:
        found = self._all()
        for journal in found:
            journal.catch_up()
        return found


def latest(journals: Iterable[Journal], run_id: str) -> Record | None:
    """Return the record that counts of a run's latest code."""
    found = [record for journal in journals for record in journal.find(run_id)]
    shown: Record | None = None
    for record in found:
        if record.digests == found[-1].digests and (shown is None or not shown.outweighs(record)):
            shown = record
    return shown


def _extend(file: FileIO, line: bytes) -> None:
    """Write a line to the end and onto the disk, or leave the file as it was."""
    end = file.tell()
    try:
        rest = line
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(end)
        raise


def _heal(file: FileIO) -> bytes:
    """Cut off a torn last line, leave the position at the end, return what must come first."""
    if file.seek(0, os.SEEK_END) == 0 or _last_byte(file) == b"\n":
        return b""
    file.seek(0)
    whole = file.read()
    rest = whole[whole.rfind(b"\n") + 1 :]
    ours = rest.startswith(OPENING) or OPENING.startswith(rest)
    if is_json(rest) or not ours:  # only its line end is missing
        return b"\n"
    file.truncate(file.seek(len(whole) - len(rest)))
    return b""


def _last_byte(file: FileIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _covers(stored: Limits, asked: Limits) -> bool:
    """Say whether no stored limit was smaller than the one asked now; 0 is no limit."""
    pairs = ((stored.timeout_s, asked.timeout_s), (stored.memory_bytes, asked.memory_bytes))
    return all((old or math.inf) >= (new or math.inf) for old, new in pairs)
