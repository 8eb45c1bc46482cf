"""Brings lines that older versions wrote to the schema of this one. No torch."""

import fcntl
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.core import codec
from harness.core.config import RunSpec, Selector
from harness.core.errors import SpecError
from harness.core.record import SCHEMA, Record

Raw = dict[str, Any]


MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading a line raises that is no record, whatever stands in it."""


def record_files(folder: Path) -> list[Path]:
    """Return what is called like a file of records below a folder, in the order of the paths.

    A suite's folder may be a link to another disk; links that lead in circles are followed once.
    Folders whose names begin with a point hold other things, such as leases.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        visible = [name for name in folders if not name.startswith(".")]
        folders[:] = sorted(visible) if real not in seen else []
        names = [*visible, *files] if real not in seen else []
        seen.add(real)
        found += [Path(place, name) for name in names if name.endswith(".jsonl")]
    return sorted(found)


class NewerError(ValueError):
    """A line that another version of this program wrote."""


def upgraded(raw: Raw) -> Raw:
    """Bring a line to this version's schema, a step at a time.

    Raises:
        NewerError: A newer version wrote it, or none that is known.
        TypeError: It names no version.
    """
    version: Any = raw.get("schema")
    while version != SCHEMA:
        if not isinstance(version, int):
            raise TypeError("it names no schema")
        if version not in UPGRADES:
            raise NewerError(
                f"its schema is {version}, which this version cannot read (it knows "
                f"{SCHEMA} and what it can upgrade to it); use the ssm-bench that wrote it."
            )
        raw = {**UPGRADES[version](raw), "schema": version + 1}
        version += 1
    return raw


def upgrade(folder: Path) -> int:
    """Rewrite the lines below a folder that an older schema wrote, and return how many there were.

    All that a file will hold lies beside it until it is on the disk.

    Raises:
        SpecError: A line cannot be upgraded; its file stays as it was.
    """
    return sum(_upgrade_file(path) for path in record_files(folder) if path.is_file())


def _upgrade_file(path: Path) -> int:
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        read = [_upgraded_line(line, f"{path}, line {n}") for n, line in enumerate(file, 1)]
        old = sum(was_old for was_old, _ in read)
        if old:
            text = b"".join(line for _, line in read)
            copy = path.with_suffix(".upgraded")
            copy.write_bytes(text)
            file.seek(0)
            file.write(text)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
            copy.unlink()
    return old


def _upgraded_line(line: bytes, place: str) -> tuple[bool, bytes]:
    """Return whether a line was an old one, and what it is now."""
    try:
        raw = msgspec.json.decode(line, type=Raw)
        made = codec.encode(codec.convert(upgraded(raw), Record)) + b"\n"
    except MALFORMED as error:
        raise SpecError(f"{place}: {error}; `ssm-bench store repair` sets it aside.") from error
    return raw.get("schema") != SCHEMA, made


def _name_by_choice(raw: Raw) -> Raw:
    """Let a run be named by what was chosen: until now its `spec` held all defaults of its time.

    Models had no versions; what they were is their first. Of a task nobody noted the origin.
    """
    versions = {"task": raw["task_version"], "model": 1}
    labels = {kind: Selector(raw[kind]) for kind in versions}
    names = {
        kind: Selector.of(labels[kind].name, labels[kind].options, version)
        for kind, version in versions.items()
    }
    spec = codec.convert({**raw["spec"], **names}, RunSpec)
    options = {f"{kind}_options": Selector(raw["spec"][kind]).options for kind in versions}
    changed = {**labels, **options, "run_id": spec.run_id, "spec": codec.builtins(spec)}
    sources = {"model": {"origin": raw.pop("origin", "")}}
    return {**raw, **changed, "sources": sources}


UPGRADES: Mapping[int, Callable[[Raw], Raw]] = {1: _name_by_choice}
"""By schema version: how a line that was written in it becomes one of the next version."""
