"""What there is of data on this machine: files that were fetched, shards that were cached."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.remote_file import RemoteFile
from harness.contract.task import SPLITS, Split, Task
from harness.data.cache import data_dir, shard_dir
from harness.data.fetch import fault, fetch, missing
from harness.data.shards import cached_shards, cached_splits, read
from harness.plugins.loading import build
from harness.plugins.registry import registry


@dataclass(frozen=True)
class DataStatus:
    """What there is of one task's data."""

    task: str
    """As it was asked for."""
    files: list[RemoteFile]
    """What must be fetched, there or not."""
    missing: list[str]
    """Names of the files that are not there."""
    shards: int
    """Shards that were generated or parsed and are cached."""
    shard_bytes: int
    folder: str
    """Where its files and shards lie, or would."""


def select_tasks(texts: list[str], plugins: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return the tasks that selectors and patterns name, or all; each with its selector.

    Raises:
        SpecError: Nothing is called so, or an option is wrong.
    """
    known = registry(plugins)
    names = [str(s) for text in texts for s in known.match("task", text)] or [*known.of("task")]
    return [(name, build("task", name, plugins)) for name in names]


def data_status(name: str, task: Task) -> DataStatus:
    """Look what there is of a task's data, without reading any of it."""
    files, shards = task.files(), cached_shards(task.cache_name)
    return DataStatus(
        task=name,
        files=list(files),
        missing=[file.name for file in missing(files)],
        shards=len(shards),
        shard_bytes=sum(map(_size, shards)),
        folder=str(location(task)),
    )


def to_fetch(task: Task) -> list[RemoteFile]:
    """Return the files that must be fetched before all of a task's splits can be read."""
    parsed = sum(cached_splits(task.cache_name).values())
    return missing(task.files()) if parsed < len(SPLITS) else []


def location(task: Task) -> Path:
    """Return the folder in which a task's files or shards lie, or would."""
    if files := task.files():
        return (data_dir() / files[0].name).parent
    return shard_dir() / task.cache_name


def ensure(task: Task, splits: tuple[Split, ...]) -> Iterator[int]:
    """Fetch what is missing of a task's files, and make what is missing of its shards.

    Yields:
        Examples of a shard, each as soon as it is there.

    Raises:
        SpecError: A file is not to be had, or the disk is full.
    """
    fetch(task.files())
    for split in splits:
        for shard in task.shards(split):
            yield len(shard())


def faults(name: str, task: Task) -> Iterator[str]:
    """Hash a task's files and read its shards again; yield a sentence for each that is wrong.

    What is not there is not wrong.
    """
    again = f"`ssm-bench data fetch '{name}'`"
    for file in task.files():
        path = data_dir() / file.name
        wrong = fault(file) if path.exists() else None
        if wrong is not None:
            yield f"{path} {wrong}; {again} fetches it again."
    for path in cached_shards(task.cache_name):
        if read(path) is None:
            yield f"{path} is broken; {again} makes it again."
    for folder, complete in cached_splits(task.cache_name).items():
        if not complete:
            yield f"{folder} lacks shards; {again} makes them again."


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # made again by another process just now
        return 0
