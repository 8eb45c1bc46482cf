"""Keeps examples on disk in pieces: each appears whole or not at all, and holds no code."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.contract.batch import Batch
from harness.core.notify import status
from harness.data.archives import BROKEN
from harness.data.cache import DATA, CacheError, lock, shard_dir, writing

FIELDS = ("inputs", "targets", "lengths")
COUNT = "count"
"""The file in the folder of a parsed split that says how many pieces it has."""
DAY_S = 86_400


def kept(name: str, draw: Callable[[], Batch], said: str) -> Batch:
    """Return a piece from disk, or else draw it and keep it.

    Two processes that draw the same piece at once write the same bytes, the later over the earlier.

    Args:
        name: Where it is kept, below the folder of pieces, without its ending.
        draw: Draws it.
        said: What a person is told who waits.

    Returns:
        The batch in the smallest integer types that hold it; floating-point types as drawn.

    Raises:
        CacheError: It cannot be written.
    """
    path = shard_dir() / f"{name}.npz"
    if (found := read(path)) is None:
        with status(said):
            batch = draw()
        with _in_place(path) as part:
            _write(part, batch)
        found = _reread(path)
    return found


def parsed(name: str, parse: Callable[[], Iterator[Batch]], said: str) -> list[Callable[[], Batch]]:
    """Return what reads each piece of a split, after parsing its source once and keeping them.

    A split that lacks pieces, or of which one is broken, is parsed again. Of several processes that
    find that, one parses and the others wait.

    Args:
        name: The folder of the split, below the folder of pieces; it appears with all pieces in it.
        parse: Yields the pieces in one pass.
        said: What a person is told who waits.

    Raises:
        CacheError: The pieces cannot be written.
    """
    folder = shard_dir() / name
    own = folder.with_name(f".{folder.name}.lock")
    if not (paths := whole(folder)):
        with lock(own):
            if not (paths := whole(folder)):
                _parse(folder, parse, said)
                paths = whole(folder)

    def piece(path: Path) -> Batch:
        if (found := read(path)) is None:
            with lock(own):
                if (found := read(path)) is None:  # else another process has mended it
                    _parse(folder, parse, said)
                    found = _reread(path)
        return found

    return [partial(piece, path) for path in paths]


def whole(folder: Path) -> list[Path]:
    """Return the pieces of a parsed split in their order; none if it lacks one, or is not there."""
    try:
        count = int((folder / COUNT).read_text())
    except (OSError, ValueError):
        return []
    paths = [folder / f"{number:05d}.npz" for number in range(count)]
    return paths if all(path.is_file() for path in paths) else []


def splits_on(cache_name: str) -> dict[Path, bool]:
    """Return the folders of a task's parsed splits, each with whether all its shards are there."""
    folders = filter(Path.is_dir, _made(shard_dir() / cache_name)) if cache_name else ()
    return {folder: bool(whole(folder)) for folder in folders}


def found_on(cache_name: str) -> list[Path]:
    """Return the shards under a name, drawn or parsed."""
    folders = [shard_dir() / cache_name, *splits_on(cache_name)] if cache_name else ()
    return [path for folder in folders for path in _made(folder) if path.suffix == ".npz"]


def _made(folder: Path) -> list[Path]:
    """Return what lies in a folder, which may not be there, but not what is just being made."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _parse(folder: Path, parse: Callable[[], Iterator[Batch]], said: str) -> None:
    parts = parse()
    first = next(parts)  # downloads with a bar of its own, so before there is another line
    with _in_place(folder) as part, status(said) as change:
        count = 0
        for count, batch in enumerate(chain([first], parts), 1):
            change(f"{said}, piece {count}")
            _write(part / f"{count - 1:05d}.npz", batch)
        with writing(part):
            (part / COUNT).write_text(f"{count}\n")


def read(path: Path) -> Batch | None:
    """Read a piece; None if there is none, or if it is broken and must be made again.

    Raises:
        CacheError: It is there, but this user may not read it.
    """
    try:
        # numpy leaves open what it could not read, if it opened the file itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        return Batch(tensors["inputs"], tensors["targets"], tensors.get("lengths"))
    except PermissionError as error:
        raise CacheError(
            f"{path} may not be read; change its permissions, or set {DATA} to another folder."
        ) from error
    except (KeyError, TypeError, ValueError, *BROKEN):
        return None


def _reread(path: Path) -> Batch:
    """Read a piece that was just written."""
    if (found := read(path)) is None:
        raise CacheError(
            f"{path} cannot be read although it was just written; look at the disk, or set {DATA} "
            "to another folder."
        )
    return found


@contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    """Offer a path to write to, which takes the place of another when all went well."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        with writing(path):
            _swept(part)
            if path.is_dir():  # a split that lacks a piece, or has a broken one
                _removed(path)
            part.replace(path)
    finally:
        _removed(part)


def _write(path: Path, batch: Batch) -> None:
    arrays = {name: _small(x) for name in FIELDS if (x := getattr(batch, name)) is not None}
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        with path.open("xb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())


def _swept(fresh: Path) -> None:
    """Remove what interrupted processes left beside a fresh file a day ago or longer."""
    for old in fresh.parent.glob("*.part"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if fresh.stat().st_mtime - old.stat().st_mtime > DAY_S:
                _removed(old)


def _removed(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _small(tensor: Tensor) -> np.ndarray:
    """Return an array in the smallest type that holds its integers and that torch can read."""
    array = tensor.numpy()
    if tensor.is_floating_point():
        return array
    for dtype in (np.uint8, np.int16, np.int32):
        bounds = np.iinfo(dtype)
        if bounds.min <= array.min(initial=0) and array.max(initial=0) <= bounds.max:
            return array.astype(dtype)
    return array
