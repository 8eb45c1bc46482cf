"""Reads archives as streams: no member is written to disk, so none lands where it should not."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, cast

from harness.core.errors import SpecError

GZIP = b"\x1f\x8b"
"""What every gzip file begins with."""
CHUNK = 1 << 20
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,  # a zip file packed by a method that nobody here knows
    RuntimeError,  # a zip file that asks for a password
)


class ArchiveError(SpecError):
    """An archive cannot be read, told in one sentence."""


def members(path: Path, pattern: str = "*") -> Iterator[tuple[str, bytes]]:
    """Yield the regular files of an archive, in the archive's order, one in memory at a time.

    Folders, links and devices are passed over.

    Args:
        path: A zip, tar or tar.gz file; its content says which, not its name.
        pattern: Shell-style; `*` stands for any characters, slashes too. It is compared with the
            whole name, from which a leading `./` is taken.

    Yields:
        Names with forward slashes, and contents.

    Raises:
        ArchiveError: The archive is broken, cut short or missing, or a name points out of it.
    """
    try:
        with path.open("rb") as file:
            found = _zipped if zipfile.is_zipfile(file) else _tarred
            file.seek(0)
            yield from found(file, path, pattern)
    except BROKEN as error:
        said = str(error) or type(error).__name__
        raise ArchiveError(
            f"The archive {path} cannot be read ({said}); remove it, so that it is fetched again."
        ) from error


def _zipped(file: BinaryIO, path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            # On Unix the upper half holds the mode; a link is a small file that names another.
            link = info.external_attr >> 28 == 0o12
            name = _safe(info.filename, path)
            if not (info.is_dir() or link) and fnmatchcase(name, pattern):
                yield name, archive.read(info)


def _tarred(file: BinaryIO, path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    packed = file.read(2) == GZIP
    file.seek(0)
    # gzip's own reader checks lengths and sums, which tarfile's would not.
    plain = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file
    with tarfile.open(fileobj=plain, mode="r|") as archive:
        for info in archive:
            name = _safe(info.name, path)
            if info.isreg() and fnmatchcase(name, pattern):
                content = archive.extractfile(info)
                assert content is not None
                yield name, content.read()
    while plain.read(CHUNK):
        pass  # the sum stands at the end


def _safe(name: str, path: Path) -> str:
    """Return a member's name.

    Raises:
        ArchiveError: It is absolute, or climbs.
    """
    as_windows = PureWindowsPath(name)
    if as_windows.anchor or ".." in as_windows.parts:
        raise ArchiveError(
            f"The archive {path} has a member {name!r}, which points out of it; do not use it."
        )
    return name.removeprefix("./")
