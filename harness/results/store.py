"""Keeps records as JSON lines: one file a (task, model), appended to and never rewritten.

A writer holds the file's lock and has the line on the disk before it returns, so whatever ends a
sweep leaves all finished runs. A line torn by a crash is ignored, with a warning, and cut off by
the next writer; another line that cannot be read hides no other, and is a fault with its place. No
torch, and pandas only where a table is asked for.
"""

import errno
import fcntl
import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from harness.core import codec
from harness.core.config import Limits, RunSpec
from harness.core.errors import SpecError
from harness.core.messages import Planned
from harness.core.record import Outcome, Record, digests
from harness.results.schema import MALFORMED, NewerError, Raw, record_files, upgraded

if TYPE_CHECKING:
    import pandas as pd

SETTLED: frozenset[Outcome] = frozenset({"ok", "skipped", "diverged"})
"""Outcomes that another try with the same seed would repeat."""
BOUNDED: frozenset[Outcome] = frozenset({"out-of-memory", "timed-out"})
"""Outcomes that larger limits might change."""


OPENING = b'{"schema":'
"""How our lines begin, so that no one else's is cut off as a torn one of ours."""


class DamagedLineWarning(UserWarning):
    """A line that is no record was left out of a table."""


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


class Store:
    """The records below a folder."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._read: dict[Path, tuple[tuple[int, int], list[Record], list[Fault]]] = {}

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

    def records(self) -> list[Record]:
        """Return the record of every run, the latest, in the order in which the runs first came.

        A disturbed measurement does not take the place of a quieter one.

        A run of a plugin whose code has changed since stands beside the one of the new code.

        What cannot be read is left out; `faults` names it.
        """
        return list(self._shown().values())

    def faults(self) -> list[Fault]:
        """Return the lines and files that cannot be read, in the order of their paths."""
        list(self._all())
        return [fault for path in sorted(self._read) for fault in self._read[path][2]]

    def get(self, run_id: str) -> Record | None:
        """Return the latest record of a run."""
        latest = {record.run_id: record for record in self._all()}.get(run_id)
        return latest and self._shown()[_code_key(latest)]

    def finished(self, run: Planned | Record, limits: Limits) -> Record | None:
        """Return the record that makes another try of a run needless, if there is one.

        A score, a skip and a divergence stand, as long as the code of the plugins is the same. What
        ran out of time or memory stands as long as no larger limit is asked for besides. What was
        killed or failed is tried again, and so is what was not run: that may have had a cause which
        is gone. So had a measurement that others disturbed; a training keeps its score.
        """
        record = self.get(run.spec.run_id)
        if record is None or record.digests != digests(run.sources):
            return None
        if record.measured is not None and record.disturbed:
            return None
        if record.outcome in SETTLED:
            return record
        stands = record.outcome in BOUNDED and _covers(record.limits, limits)
        return record if stands else None

    def _shown(self) -> dict[tuple[str, ...], Record]:
        """Return for every run, and every code of it, the record that counts."""
        found: dict[tuple[str, ...], Record] = {}
        for record in self._all():
            known = found.get(_code_key(record))
            if known is None or not known.outweighs(record):
                found[_code_key(record)] = record
        return found

    def _all(self) -> Iterator[Record]:
        for path in record_files(self.folder):
            yield from self._lines(path)

    def _lines(self, path: Path) -> list[Record]:
        """Read a file, unless it is as it was when it was last read."""
        try:
            with _opened(path) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                stat = os.fstat(file.fileno())
                stamp = (stat.st_size, stat.st_mtime_ns)
                known = self._read.get(path)
                if known is not None and known[0] == stamp:
                    return known[1]
                text = file.read()
        except OSError as error:
            self._read[path] = ((0, 0), [], [Fault(path, 0, f"{error.strerror}.")])
            return []
        *lines, rest = text.split(b"\n")
        if rest and _is_json(rest):
            lines.append(rest)
        elif rest:
            warnings.warn(
                f"{path} ends in the middle of a line, which is ignored: its writer was stopped.",
                TornLineWarning,
                stacklevel=2,
            )
        found: list[Record] = []
        faults: list[Fault] = []
        for number, line in enumerate(lines, 1):
            try:
                found += [decoded(line)] if line.strip() else []
            except ValueError as error:
                newer = isinstance(error, NewerError)
                faults.append(Fault(path, number, str(error), newer))
        self._read[path] = (stamp, found, faults)
        return found


def read_records(folder: Path | str) -> "pd.DataFrame":
    """Read a results folder as a table: one row a run, units in the columns' names.

    Trials of a sweep are left out: their scores are of validation. The runs that they decided have
    them in the column `trials`. A line that cannot be read is left out, with a warning.

    Raises:
        SpecError: The folder does not exist.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that only a table is worth

    if not Path(folder).is_dir():
        raise SpecError(f"There is no results folder {str(folder)!r}; `ssm-bench run` makes one.")
    store = Store(folder)
    for fault in store.faults():
        warnings.warn(f"Left out: {fault}", DamagedLineWarning, stacklevel=2)
    return pd.DataFrame([row(record) for record in store.records() if not record.trial])


def row(record: Record) -> dict[str, Any]:
    """Flatten a record to numbers and texts; None where the run left nothing."""
    learned, measured, memory = record.learned, record.measured, record.memory
    call_s = median(measured.call_s) if measured and measured.call_s else None
    return {
        "run_id": record.run_id,
        "task": record.task,
        "model": record.model,
        "task_version": record.task_version,
        "seed": record.spec.seed,
        "device": record.spec.device,
        "outcome": record.outcome,
        "reason": record.reason,
        "metric": learned and learned.metric,
        "score": learned and learned.score,
        "interval_low": learned and learned.interval[0],
        "interval_high": learned and learned.interval[1],
        "chance": learned and learned.chance,
        "steps": learned and learned.steps,
        "step_s_median": median(learned.step_s) if learned and learned.step_s else None,
        "first_step_s": learned and learned.first_step_s,
        "train_s": learned and learned.train_s,
        "evaluate_s": learned and learned.evaluate_s,
        "length": measured and measured.length,
        "batch": measured and measured.batch,
        "call_s_median": call_s,
        "first_call_s": measured and measured.first_call_s,
        "precision": measured and measured.precision,
        "tokens_per_s": measured.tokens / call_s if measured and call_s else None,
        "flops": measured and measured.flops,
        "peak_bytes": memory and memory.peak_bytes,
        "delta_bytes": memory and memory.delta_bytes,
        "memory_method": memory and memory.method,
        "disturbed": record.disturbed,
        "parameters": record.parameters,
        "width": record.spec.protocol and record.spec.protocol.width,
        "chosen": record.swept and record.swept.chosen,
        "trials": record.swept and codec.builtins(record.swept.trials),
        "state_bytes": record.state_bytes,
        "predicted_s": record.prediction.get("seconds"),
        "predicted_bytes": record.prediction.get("bytes"),
        "path": record.path,
        "origin": record.sources["model"].origin if "model" in record.sources else None,
        "task_digest": record.digests["task"],
        "model_digest": record.digests["model"],
        "commit": record.machine.get("commit"),
        "dirty": record.machine.get("dirty"),
        "started": record.started,
        "ended": record.ended,
    }


def _opened(path: Path) -> BufferedReader:
    """Open what is a file; a pipe would keep its reader waiting."""
    if not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "Not a file")
    return path.open("rb")


def _code_key(record: Record) -> tuple[str, ...]:
    return record.run_id, *record.digests.values()


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
    if _is_json(rest) or not ours:  # only its line end is missing
        return b"\n"
    file.truncate(file.seek(len(whole) - len(rest)))
    return b""


def _last_byte(file: FileIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _is_json(line: bytes) -> bool:
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
        record = codec.convert(upgraded(msgspec.json.decode(line, type=Raw)), Record)
        _ = record.place, record.disturbed  # of `machine`, which no type describes
    except NewerError:
        raise
    except MALFORMED as error:
        why = f"not a record ({error}); `ssm-bench store repair` sets it aside."
        raise ValueError(why) from error
    return record


def _covers(stored: Limits, asked: Limits) -> bool:
    """Say whether no stored limit was smaller than the one asked now; 0 is no limit."""
    pairs = ((stored.timeout_s, asked.timeout_s), (stored.memory_bytes, asked.memory_bytes))
    return all((old or math.inf) >= (new or math.inf) for old, new in pairs)
