"""What there is of data on this machine: files that were fetched, pieces that were made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.remote_file import RemoteFile
from harness.contract.task import SPLITS, Split, Task
from harness.data.cache import data_dir, shard_dir
from harness.data.fetch import fault, fetch, missing
from harness.data.shards import found_on, read, splits_on
from harness.plugins.loading import build
from harness.plugins.registry import registry


@dataclass(frozen=True)
class Stock:
    """What there is of one task's data."""

    task: str
    """As it was asked for."""
    files: list[RemoteFile]
    """What must be fetched, there or not."""
    missing: list[str]
    """Names of the files that are not there."""
    pieces: int
    """Pieces that were drawn or parsed and are kept."""
    piece_bytes: int
    folder: str
    """Where its files and pieces lie, or would."""


def asked(texts: list[str], plugins: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return the tasks that selectors and patterns name, or all; each with its selector.

    Raises:
        SpecError: Nothing is called so, or an option is wrong.
    """
    known = registry(plugins)
    names = [str(s) for text in texts for s in known.match("task", text)] or [*known.of("task")]
    return [(name, build("task", name, plugins)) for name in names]


def stock(name: str, task: Task) -> Stock:
    """Look what there is of a task's data, without reading any of it."""
    files, pieces = task.files(), found_on(task.cache_name)
    return Stock(
        task=name,
        files=list(files),
        missing=[file.name for file in missing(files)],
        pieces=len(pieces),
        piece_bytes=sum(map(_bytes_of, pieces)),
        folder=str(place(task)),
    )


def wanting(task: Task) -> list[RemoteFile]:
    """Return the files that must be fetched before all of a task's splits can be read."""
    parsed = sum(splits_on(task.cache_name).values())
    return missing(task.files()) if parsed < len(SPLITS) else []


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # made again by another process just now
        return 0


def place(task: Task) -> Path:
    """Return the folder in which a task's files or pieces lie, or would."""
    if files := task.files():
        return (data_dir() / files[0].name).parent
    return shard_dir() / task.cache_name


def provide(task: Task, splits: tuple[Split, ...]) -> Iterator[int]:
    """Fetch what is missing of a task's files, and make what is missing of its pieces.

    Yields:
        Examples of a piece, each as soon as it is there.

    Raises:
        SpecError: A file is not to be had, or the disk is full.
    """
    fetch(task.files())
    for split in splits:
        for piece in task.shards(split):
            yield len(piece())


def faults(name: str, task: Task) -> Iterator[str]:
    """Hash a task's files and read its pieces again; yield a sentence for each that is wrong.

    What is not there is not wrong.
    """
    folder = data_dir()
    for file in task.files():
        wrong = fault(file) if (folder / file.name).exists() else None
        if wrong is not None:
            yield f"{folder / file.name} {wrong}; `ssm-bench data fetch '{name}'` fetches it again."
    for path in found_on(task.cache_name):
        if read(path) is None:
            yield f"{path} is broken; `ssm-bench data fetch '{name}'` makes it again."
    for folder, whole in splits_on(task.cache_name).items():
        if not whole:
            yield f"{folder} lacks pieces; `ssm-bench data fetch '{name}'` makes them again."
