"""Fetches the files that a task's data come from, once, and checks every byte of them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from harness.contract.remote_file import CHECKSUM, RemoteFile
from harness.core.errors import SpecError
from harness.core.notify import inform, progress
from harness.data.cache import data_dir, lock, writing
from harness.data.checksums import checksum_of, mismatch

MIRROR = "SSM_BENCH_MIRROR"
"""Environment variable: an address that stands in for all others, laid out like the data folder."""
RECORD = ".sha256"
"""Ending of the file that holds the checksum of a file for which nobody published one."""
CHUNK = 1 << 16
LENGTH = re.compile(r"[0-9]{1,15}")
MOST_BYTES = 1 << 38
"""Bytes after which an answer of unknown length is taken for an endless one."""
TIMEOUT_S = 30
"""How long a server may be silent."""


class FetchError(SpecError):
    """A file could not be fetched, told in one sentence."""


def fetch(files: tuple[RemoteFile, ...]) -> Path:
    """Return the folder in which all files lie, after fetching those that are missing.

    A file gets its name only when all its bytes have arrived and have the right checksum. An
    interrupted download is resumed. A file that was put there by hand is checked like any. Two
    processes that want the same file wait for each other. Where nobody published a checksum, that
    of the first file is recorded and holds as long as the file is there.

    Raises:
        FetchError: A file is neither there nor to be had; the message says where to put it.
        CacheError: The folder cannot be written to, or is full.
    """
    for file in files:
        if fault(file) is not None or _checksum(file) is None:
            with lock(_path(file).with_name(".lock")):
                if fault(file) is not None:
                    _download(file)
                if _checksum(file) is None:
                    _record(_path(file))
    return data_dir()


def missing(files: tuple[RemoteFile, ...]) -> list[RemoteFile]:
    """Return the files that are not there, without reading those that are."""
    return [file for file in files if not _path(file).is_file()]


def fault(file: RemoteFile) -> str | None:
    """Return what is wrong with a file in the data folder, in a clause; None if nothing is."""
    path = _path(file)
    if path.is_dir():
        return "is a folder, not a file"
    return mismatch(path, file.size, _checksum(file)) if path.is_file() else "is not there"


def _path(file: RemoteFile) -> Path:
    return data_dir() / file.name


def _checksum(file: RemoteFile) -> str | None:
    """Return the published checksum, or the one that was recorded when the file was first used.

    What was recorded holds for that file alone: if the file is gone, so is its record.
    """
    path = _path(file)
    record = path.with_name(path.name + RECORD)
    if file.checksum or not (path.is_file() and record.is_file()):
        return file.checksum
    first, *_ = [*record.read_text("ascii", "replace").split(), ""]
    return f"sha256:{first}" if CHECKSUM.fullmatch(f"sha256:{first}") else None


def _record(path: Path) -> None:
    """Write the checksum of a file beside it, whole or not at all, and tell it."""
    digest, record = checksum_of(path, "sha256"), path.with_name(path.name + RECORD)
    part = record.with_name(record.name + ".part")
    with writing(record):
        part.unlink(missing_ok=True)
        part.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        part.replace(record)
    inform(
        f"Nobody publishes a checksum of {path.name}; its SHA-256 is {digest} here, and the file "
        "must have it as long as it is there."
    )


def _download(file: RemoteFile) -> None:
    """Download a file from the first address that has it, and give it its name."""
    path, checksum, complaints = _path(file), _checksum(file), []
    if path.is_dir():
        raise FetchError(f"{path} is a folder where the file {file.name} belongs; move it away.")
    part = path.with_name(path.name + ".part")
    for url in _addresses(file):
        complaint = _attempt(url, part, file, checksum)
        if complaint is None:
            with writing(path):
                if checksum is None:  # what may be recorded is of a file that is gone
                    path.with_name(path.name + RECORD).unlink(missing_ok=True)
                part.replace(path)
            return
        complaints.append(f"{url} ({complaint})")
    size = "of unknown size" if file.size is None else f"{file.size:,} bytes"
    other = f", or delete {path.name}{RECORD} if that was recorded for a wrong file"
    raise FetchError(
        f"The file {file.name} ({size}) could not be fetched from "
        f"{' or '.join(complaints)}; put it at {path} by hand, or set {MIRROR} to an address "
        f"that has it{'' if checksum == file.checksum else other}."
    )


def _addresses(file: RemoteFile) -> tuple[str, ...]:
    """Return where a file is looked for, in this order."""
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return file.urls
    names = dict.fromkeys((file.name, file.name.rpartition("/")[2]))
    return tuple(f"{mirror.rstrip('/')}/{name}" for name in names)


def _attempt(url: str, part: Path, file: RemoteFile, checksum: str | None) -> str | None:
    """Download a file from an address; say in a clause what went wrong, None if nothing did."""
    if part.is_symlink():
        part.unlink()  # nothing is written where it leads
    begun = part.stat().st_size if part.is_file() else 0
    try:
        with writing(part):
            if file.size is None or begun < file.size:
                _get(url, part, begun, file)
            _tag(part).unlink(missing_ok=True)
        if (complaint := mismatch(part, file.size, checksum)) is None:
            return None
        part.unlink()
        complaint = f"what came {complaint}"
    except (OSError, ValueError) as error:  # the second of a header that cannot be sent
        first_line = str(error).strip().partition("\n")[0].rstrip(".")
        complaint = f"{type(error).__name__}: {first_line}"
    if begun and not part.exists():  # what an earlier download left is to blame
        return _attempt(url, part, file, checksum)
    return complaint


def _get(url: str, part: Path, begun: int, file: RemoteFile) -> None:
    """Download what is missing of a file behind the first part, which outlives an interruption.

    The rest is asked for only where that is safe: with `If-Range` a server sends the whole file if
    it is no longer the one that the first part came from, and so does a server that knows no
    ranges. A refusal leaves the first part alone, for another time or another address may have the
    rest, unless what is refused is that range.

    Raises:
        OSError: The server cannot be reached, refuses, or stops half-way.
    """
    import requests  # noqa: PLC0415 - most runs download nothing

    size = "of unknown size" if file.size is None else decimal(file.size)
    inform(f"Fetching {file.name} ({size}) from {url}")
    headers = {"Accept-Encoding": "identity"}  # the bytes themselves
    source, _, mark = (
        _tag(part).read_text("utf-8", "replace") if _tag(part).is_file() else ""
    ).partition("\n")
    if begun and source == url and mark and mark.isascii() and mark.isprintable():
        headers |= {"Range": f"bytes={begun}-", "If-Range": mark}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        total, said = file.size, answer.headers
        rest = said.get("Content-Range", "").startswith(f"bytes {begun}-")
        if answer.status_code == 416 or (answer.status_code == 206 and not rest):
            part.unlink(missing_ok=True)
            raise OSError("the server answered with another range than it was asked for")
        answer.raise_for_status()
        if answer.status_code not in {200, 206}:
            raise OSError(f"the server answered {answer.status_code}, which is no file")
        if answer.status_code != 206:
            begun = 0
            part.unlink(missing_ok=True)  # it may be a link
            part.write_bytes(b"")  # before its tag says where it comes from
            mark = said.get("ETag", "")
            # A weak tag does not promise the same bytes.
            mark = said.get("Last-Modified", "") if mark[:2] in {"", "W/"} else mark
            _tag(part).unlink(missing_ok=True)
            _tag(part).write_text(f"{url}\n{mark}", encoding="utf-8")
            if total is None and LENGTH.fullmatch(length := said.get("Content-Length", "")):
                total = int(length)
                inform(f"It has {total:,} bytes.")
        _keep(answer.iter_content(CHUNK), part, file, total)


def _keep(chunks: Iterator[bytes], part: Path, file: RemoteFile, total: int | None) -> None:
    """Append what comes to the first part, up to more than the file has or any file may have.

    Raises:
        OSError: An answer of unknown length has no end.
    """
    begun = part.stat().st_size if part.exists() else 0
    with part.open("ab") as out, progress(file.name, total, begun) as add:
        for chunk in chunks:
            out.write(chunk)
            add(len(chunk))
            if file.size is not None and out.tell() > file.size:
                return  # it is not the file, as its size says
            if out.tell() > MOST_BYTES:
                raise OSError(f"the answer has more than {decimal(MOST_BYTES)}")


def _tag(part: Path) -> Path:
    """Return the file that says which address and which state of it the first part came from."""
    return part.with_name(part.name + ".tag")
