"""What there is of data on this machine: files that were fetched, pieces that were made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from harness.contract.kept import KeptTask
from harness.contract.remote import RemoteFile
from harness.contract.task import Split, Task
from harness.fetch import data_folder, examined, fetched, missing
from harness.loading import build
from harness.pieces import pieces_folder, read, whole
from harness.registry import registry

SPLITS: tuple[Split, ...] = get_args(Split)


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


def kept_pieces(task: Task) -> list[Path]:
    """Return the pieces of a task that are kept, of all its splits; not what is being made."""
    if not isinstance(task, KeptTask):
        return []
    homes = [pieces_folder() / "drawn" / task.key, *split_folders(task).values()]
    return [path for home in homes for path in _pieces_in(home)]


def split_folders(task: KeptTask) -> dict[Split, Path]:
    """Return the folder of each split, if it is parsed."""
    return {split: pieces_folder() / "parsed" / task.key / split for split in SPLITS}


def _pieces_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".npz")
    except (FileNotFoundError, NotADirectoryError):
        return []


def stock(name: str, task: Task) -> Stock:
    """Look what there is of a task's data, without reading any of it."""
    files, pieces = task.files(), kept_pieces(task)
    return Stock(
        task=name,
        files=list(files),
        missing=[file.name for file in missing(files)],
        pieces=len(pieces),
        piece_bytes=sum(map(_bytes_of, pieces)),
        folder=str(place(task)),
    )


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # made again by another process just now
        return 0


def place(task: Task) -> Path:
    """Return the folder in which a task's files or pieces lie, or would."""
    if files := task.files():
        return (data_folder() / files[0].name).parent
    return pieces_folder() / "drawn" / task.key if isinstance(task, KeptTask) else data_folder()


def provide(task: Task, splits: tuple[Split, ...]) -> Iterator[int]:
    """Fetch what is missing of a task's files, and make what is missing of its pieces.

    Yields:
        Examples of a piece, each as soon as it is there.

    Raises:
        SpecError: A file is not to be had, or the disk is full.
    """
    fetched(task.files())
    if isinstance(task, KeptTask):
        for split in splits:
            for piece in task.pieces(split):
                yield len(piece())


def faults(name: str, task: Task) -> Iterator[str]:
    """Hash a task's files and read its pieces again; yield a sentence for each that is wrong.

    What is not there is not wrong.
    """
    folder = data_folder()
    for file in task.files():
        fault = examined(file, folder) if (folder / file.name).exists() else None
        if fault is not None:
            yield f"{folder / file.name} {fault}; `ssm-bench data fetch '{name}'` fetches it again."
    for path in kept_pieces(task):
        if read(path) is None:
            yield f"{path} is broken; `ssm-bench data fetch '{name}'` makes it again."
    for home in split_folders(task).values() if isinstance(task, KeptTask) else ():
        if home.is_dir() and not whole(home):
            yield f"{home} lacks pieces; `ssm-bench data fetch '{name}'` makes them again."
