"""The folder in which data are cached: where it is, whose turn it is, and what it cannot take."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

import platformdirs

from harness.core.errors import SpecError

DATA = "SSM_BENCH_DATA"
"""Environment variable: the folder for data; the user's cache folder if it is not set."""
_shards: ContextVar[Path | None] = ContextVar("_shards", default=None)


class CacheError(SpecError):
    """Something cannot be cached, told in one sentence."""


def data_dir() -> Path:
    """Return the folder for files that are fetched, and for shards; it need not exist yet."""
    chosen = os.environ.get(DATA)
    return (
        Path(chosen).expanduser()
        if chosen
        else platformdirs.user_cache_path("ssm-bench", appauthor=False)
    )


def shard_dir() -> Path:
    """Return the folder for shards: the one for all data unless `use_shard_dir` says another."""
    return _shards.get() or data_dir()


@contextmanager
def use_shard_dir(folder: Path) -> Iterator[None]:
    """Cache shards in another folder for a while, so that a check sees them made anew."""
    token = _shards.set(folder)
    try:
        yield
    finally:
        _shards.reset(token)


def lock(path: Path) -> BinaryIO:
    """Open a file that one process at a time holds; closing it lets the next one have it.

    Raises:
        CacheError: Its folder cannot be written to.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.open("ab")
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in a sentence that something cannot be written.

    Raises:
        CacheError: The disk is full, or forbids it, or fails.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # of a server: those of the system have a number
            raise
        raise CacheError(
            f"{path} cannot be written ({error.strerror}); make room there, or set {DATA} to "
            "another folder."
        ) from error
