"""Caches examples on disk in shards: each appears whole or not at all, and holds no code."""

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
"""The file in the folder of a split that was loaded from files; it says how many shards it has."""
DAY_S = 86_400


def load_or_generate(name: str, generate: Callable[[], Batch], message: str) -> Batch:
    """Return a shard from disk, or else generate and cache it.

    Two processes that generate the same one at once write the same bytes, the later over the
    earlier.

    Args:
        name: Where it is cached, below the folder for shards, without its ending.
        generate: Draws it.
        message: What a person is told who waits.

    Returns:
        The batch in the smallest integer types that hold it; floating-point types as drawn.

    Raises:
        CacheError: It cannot be written.
    """
    path = shard_dir() / f"{name}.npz"

    def write() -> None:
        with status(message):
            batch = generate()
        with _atomic(path) as part:
            _write(part, batch)

    return _read_after(write, path)


def load_or_parse(
    name: str, parse: Callable[[], Iterator[Batch]], message: str
) -> list[Callable[[], Batch]]:
    """Return what reads each shard of a split, after parsing its source once and caching them.

    A split that lacks shards, or of which one is broken, is parsed again. Of several processes that
    find that, one parses and the others wait.

    Args:
        name: The folder of the split, below that for shards; it appears with all of them in it.
        parse: Yields the shards in one pass.
        message: What a person is told who waits.

    Raises:
        CacheError: The shards cannot be written.
    """
    folder = shard_dir() / name

    def parse_unless(cached: Callable[[], object]) -> None:
        with lock(folder.with_name(f".{folder.name}.lock")):
            if not cached():  # else another process has parsed it meanwhile
                _parse(folder, parse, message)

    def shard(path: Path) -> Batch:
        return _read_after(lambda: parse_unless(lambda: read(path) is not None), path)

    if not (paths := complete(folder)):
        parse_unless(lambda: complete(folder))
        paths = complete(folder)
    return [partial(shard, path) for path in paths]


def complete(folder: Path) -> list[Path]:
    """Return the shards of a split in their order; none if it lacks one, or is not there."""
    try:
        count = int((folder / COUNT).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return []
    paths = [folder / f"{number:05d}.npz" for number in range(count)]
    return paths if all(path.is_file() for path in paths) else []


def cached_splits(cache_name: str) -> dict[Path, bool]:
    """Return the folders of a task's parsed splits, each with whether all its shards are there."""
    folders = filter(Path.is_dir, _listed(shard_dir() / cache_name)) if cache_name else ()
    return {folder: bool(complete(folder)) for folder in folders}


def cached_shards(cache_name: str) -> list[Path]:
    """Return a task's shards, generated or parsed."""
    folders = [shard_dir() / cache_name, *cached_splits(cache_name)] if cache_name else ()
    return [path for folder in folders for path in _listed(folder) if path.suffix == ".npz"]


def read(path: Path) -> Batch | None:
    """Read a shard; None if there is none, or if it is broken and must be made again.

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


def _read_after(write: Callable[[], None], path: Path) -> Batch:
    """Read a shard, after writing it if there is none or it is broken."""
    if (batch := read(path)) is None:
        write()
        batch = read(path)
    if batch is None:
        raise CacheError(
            f"{path} cannot be read although it was just written; look at the disk, or set {DATA} "
            "to another folder."
        )
    return batch


def _parse(folder: Path, parse: Callable[[], Iterator[Batch]], message: str) -> None:
    batches = parse()
    first = next(batches)  # downloads with a bar of its own, so before there is another line
    with _atomic(folder) as part, status(message) as change:
        count = 0
        for count, batch in enumerate(chain([first], batches), 1):
            change(f"{message}, shard {count}")
            _write(part / f"{count - 1:05d}.npz", batch)
        with writing(part):
            (part / COUNT).write_text(f"{count}\n", encoding="ascii")


@contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """Offer a path to write to, which takes the place of another when all went well."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        with writing(path):
            _remove_stale(part)
            if path.is_dir():  # a split that lacks a shard, or has a broken one
                _remove(path)
            part.replace(path)
    finally:
        _remove(part)


def _write(path: Path, batch: Batch) -> None:
    arrays = {name: _smallest(x) for name in FIELDS if (x := getattr(batch, name)) is not None}
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        with path.open("xb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())


def _smallest(tensor: Tensor) -> np.ndarray:
    """Return an array in the smallest type that holds its integers and that torch can read."""
    array = tensor.numpy()
    if tensor.is_floating_point():
        return array
    for dtype in (np.uint8, np.int16, np.int32):
        bounds = np.iinfo(dtype)
        if bounds.min <= array.min(initial=0) and array.max(initial=0) <= bounds.max:
            return array.astype(dtype)
    return array


def _listed(folder: Path) -> list[Path]:
    """Return what lies in a folder, which may not be there, but not what is just being made."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_stale(part: Path) -> None:
    """Remove what interrupted processes left beside a part a day ago or longer."""
    for old in part.parent.glob("*.part"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if part.stat().st_mtime - old.stat().st_mtime > DAY_S:
                _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
