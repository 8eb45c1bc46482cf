"""Reads archives as streams: no member is written to disk, so none lands where it should not."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BufferedReader, FileIO, RawIOBase
from pathlib import Path, PureWindowsPath
from typing import IO, BinaryIO, Self, cast

from harness.core.errors import SpecError

GZIP = b"\x1f\x8b"
"""What every gzip file begins with."""
CHUNK = 1 << 18
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,  # a number or a name in a header that is none
    LookupError,
    OverflowError,
    NotImplementedError,  # a zip file packed by a method that nobody here knows
    RuntimeError,  # a zip file that asks for a password
)
PACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})
"""Methods of zip files whose unpacking takes little memory, whatever the file says."""
LONGEST = 1 << 20
"""Bytes of the longest name in a tar file, or of what else stands before a member."""
LISTED = 1 << 25
"""Bytes of the longest list of members in a zip file, some hundred thousand names."""
BEFORE = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
"""Types of headers whose content says something of the members that follow."""
SWELLING, ROOM = 200, 1 << 26
"""By how much an archive may grow when it is unpacked, and bytes to which any may."""


class ArchiveError(SpecError):
    """An archive cannot be read, told in one sentence."""


def members(path: Path, pattern: str = "*") -> Iterator[tuple[str, BinaryIO]]:
    """Yield the regular files of an archive, in the archive's order, as streams.

    Folders, links and devices are passed over. Of a tar.gz file all sums are checked when the last
    member is passed; of a zip file, a member's when its end is read.

    Args:
        path: A zip, tar or tar.gz file; its content says which, not its name.
        pattern: Shell-style; `*` stands for any characters, slashes too. It is compared with the
            whole name, from which a leading `./` is taken.

    Yields:
        Names with forward slashes, and files, each open until the next is asked for.

    Raises:
        ArchiveError: The archive is broken, cut short or missing, or a name points out of it;
            raised by reading a file too.
    """

    def wanted(name: str) -> bool:
        as_windows = PureWindowsPath(name)
        if as_windows.anchor or ".." in as_windows.parts:
            raise ArchiveError(
                f"The archive {path} has a member {name!r}, which points out of it; do not use it."
            )
        return fnmatchcase(name.removeprefix("./"), pattern)

    with _one_sentence(path), path.open("rb") as file:
        opened = _zipped if zipfile.is_zipfile(file) else _tarred
        file.seek(0)
        left = Allowance(max(ROOM, SWELLING * path.stat().st_size))
        for name, content in opened(file, wanted, left):
            with BufferedReader(_Member(name, content, path), CHUNK) as member:
                yield name.removeprefix("./"), member


@dataclass
class Allowance:
    """How many bytes may still come out of an archive."""

    left: int

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            OSError: There are more than an archive of its size holds in earnest.
        """
        self.left -= size
        if self.left < 0:
            raise OSError(f"it holds more than {SWELLING} times its size")


@dataclass
class _Counted:
    """A stream whose bytes count."""

    content: IO[bytes]
    left: Allowance

    def read(self, size: int) -> bytes:
        part = self.content.read(size)
        self.left.take(len(part))
        return part


def _zipped(
    file: BinaryIO, wanted: Callable[[str], bool], left: Allowance
) -> Iterator[tuple[str, _Counted]]:
    with zipfile.ZipFile(_Listed(FileIO(file.fileno(), closefd=False))) as archive:
        for info in archive.infolist():
            # On Unix the upper half holds the mode; a link is a small file that names another.
            link = info.external_attr >> 28 == 0o12
            if wanted(info.filename) and not (info.is_dir() or link):
                if info.compress_type not in PACKED:
                    raise NotImplementedError("it is packed by a method that is not read here")
                with archive.open(info) as content:
                    yield info.filename, _Counted(content, left)


class _Listed(BufferedReader):
    """A zip file, whose list of members is read at once and takes 20 times as much in memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > LISTED:
            raise OSError(f"its list of members has more than {LISTED >> 20} MiB")
        return super().read(size)


def _tarred(
    file: BinaryIO, wanted: Callable[[str], bool], left: Allowance
) -> Iterator[tuple[str, IO[bytes]]]:
    packed = file.read(2) == GZIP
    file.seek(0)
    # gzip's own reader checks lengths and sums, which tarfile's would not. What is passed over is
    # unpacked as well, so it counts.
    plain = _Counted(cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file, left)
    stream = cast("BinaryIO", plain)
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as archive:
        while info := archive.next():
            # Millions of members would take gigabytes.
            archive.members.clear()  # type: ignore[attr-defined]
            if wanted(info.name) and info.isreg():
                if info.issparse():
                    raise NotImplementedError("it has holes, which may be of any size")
                content = archive.extractfile(info)
                assert content is not None
                yield info.name, content
    while plain.read(CHUNK):
        pass  # the sum stands at the end


class _Header(tarfile.TarInfo):
    """What stands before a member. Python would end at a broken one as if nothing came after it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read it.

        Raises:
            ValueError: It is broken, or a longer name than any follows, which would be read whole.
        """
        try:
            found = super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise ValueError(str(error)) from error
        if found.type in BEFORE and found.size > LONGEST:
            raise ValueError(f"a name in it has {found.size:,} bytes")
        return found


class _Member(RawIOBase):
    """The bytes of a member, whose reading fails in one sentence."""

    mode = "rb"

    def __init__(self, name: str, content: IO[bytes] | _Counted, path: Path) -> None:
        self.name, self.content, self.path = name, content, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _one_sentence(self.path):
            part = self.content.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except SpecError:
        raise
    except BROKEN as error:
        reason = str(error) or type(error).__name__
        raise ArchiveError(
            f"The archive {path} cannot be read ({reason}); remove it, so that it is fetched again."
        ) from error
