"""Keeps drawn examples on disk: a file appears whole or not at all, and holds no code."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.contract.data import Batch
from harness.fetch import data_folder

FIELDS = ("inputs", "targets", "lengths")
_elsewhere: ContextVar[Path | None] = ContextVar("_elsewhere", default=None)


@contextmanager
def elsewhere(folder: Path) -> Iterator[None]:
    """Keep pieces in another folder for a while, so that a check sees them drawn anew."""
    token = _elsewhere.set(folder)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def piece_path(key: str, name: str) -> Path:
    """Return where a piece of drawn data is kept."""
    return (_elsewhere.get() or data_folder()) / "drawn" / key / f"{name}.npz"


def kept(key: str, name: str, draw: Callable[[], Batch]) -> Batch:
    """Return a piece from disk, or else draw it and keep it.

    Two processes that draw the same piece at once write the same bytes, the later over the earlier.

    Args:
        key: The folder.
        name: The piece's file, without its ending.
        draw: Draws it.

    Returns:
        The batch in the smallest integer types that hold it; floating-point types as drawn.
    """
    path = piece_path(key, name)
    if (found := _read(path)) is None:
        _write(path, draw())
        found = _read(path)
    assert found is not None
    return found


def _read(path: Path) -> Batch | None:
    """Read a piece; None if there is none, or if it is broken and must be drawn again."""
    try:
        # numpy leaves open what it could not read, if it opened the file itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        return Batch(tensors["inputs"], tensors["targets"], tensors.get("lengths"))
    except (FileNotFoundError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, batch: Batch) -> None:
    arrays = {name: _small(x) for name in FIELDS if (x := getattr(batch, name)) is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        try:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)


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
