"""Fetches the files that a stored task's data come from, once, and checks every byte of them."""

import os
from pathlib import Path
from typing import Self

import platformdirs

from harness.contract.task import RemoteFile
from harness.spec import SpecError

DATA = "SSM_BENCH_DATA"
"""Environment variable: the folder for data; the user's cache folder if it is not set."""
MIRROR = "SSM_BENCH_MIRROR"
"""Environment variable: an address that stands in for everything before a file's own name."""


class FetchError(SpecError):
    """A file could not be fetched, told in one sentence."""


def fetched(files: tuple[RemoteFile, ...]) -> Path:
    """Return the folder in which all files lie, after fetching those that are missing.

    A file gets its name only when all its bytes have arrived and have the right checksum, so an
    interrupted download leaves none, and a file that was put there by hand is checked like any.

    Raises:
        FetchError: A file is neither there nor to be had; the message says where to put it.
    """
    folder = data_folder()
    for file in files:
        _fetch(file, folder / file.name)
    return folder


def data_folder() -> Path:
    """Return where data are kept; the folder need not exist yet."""
    chosen = os.environ.get(DATA)
    return Path(chosen) if chosen else platformdirs.user_cache_path("ssm-bench", appauthor=False)


def _fetch(file: RemoteFile, path: Path) -> None:
    import pooch  # noqa: PLC0415 - no download library without a download

    pooch.get_logger().setLevel("WARNING")
    url = _address(file)
    try:
        with _Bar(file) as bar:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{file.sha256}",
                fname=path.name,
                path=path.parent,
                downloader=pooch.HTTPDownloader(progressbar=bar),
            )
    except (OSError, ValueError) as error:
        raise FetchError(
            f"The file {file.name} ({file.size:,} bytes) could not be fetched from {url} "
            f"({_first_line(error)}); put it at {path} by hand, or set {MIRROR} to an address "
            f"that has it."
        ) from error


def _address(file: RemoteFile) -> str:
    mirror = os.environ.get(MIRROR)
    return f"{mirror.rstrip('/')}/{file.url.rpartition('/')[2]}" if mirror else file.url


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}"


class _Bar:
    """The progress of a download on standard error, with the face that pooch asks for."""

    def __init__(self, file: RemoteFile) -> None:
        from rich.console import Console  # noqa: PLC0415 - as above
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

        self.total = file.size
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(file.name, total=file.size, visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, size: int) -> None:
        """Add bytes."""
        self._progress.update(self._task, advance=size, total=self.total, visible=True)

    def reset(self) -> None:
        """Start from nothing; pooch then adds the true total."""
        self._progress.reset(self._task, total=self.total)

    def close(self) -> None:
        """Do nothing more: leaving the context ends the bar, after failures too."""
