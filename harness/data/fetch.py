"""Fetches the files that a stored task's data come from, once, and checks every byte of them."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import platformdirs

from harness.contract.remote_file import RemoteFile
from harness.core.errors import SpecError
from harness.core.notify import say

DATA = "SSM_BENCH_DATA"
"""Environment variable: the folder for data; the user's cache folder if it is not set."""
MIRROR = "SSM_BENCH_MIRROR"
"""Environment variable: an address that stands in for all others, laid out like the data folder."""
RECORD = ".sha256"
"""Ending of the file that holds the checksum of a file for which nobody published one."""
DIGEST = re.compile(r"[0-9a-fA-F]{64}(?=\s|$)")
"""What such a file begins with."""


class FetchError(SpecError):
    """A file could not be fetched, told in one sentence."""


class KeepError(SpecError):
    """Something cannot be kept in the data folder, told in one sentence."""


def fetched(files: tuple[RemoteFile, ...]) -> Path:
    """Return the folder in which all files lie, after fetching those that are missing.

    A file gets its name only when all its bytes have arrived and have the right checksum. What an
    interrupted download left is gone on with. A file that was put there by hand is checked like
    any. Two processes that want the same file wait for each other. Where nobody published a
    checksum, that of the first file is recorded and holds as long as the file is there.

    Raises:
        FetchError: A file is neither there nor to be had; the message says where to put it.
        KeepError: The folder cannot be written to, or is full.
    """
    folder = data_folder()
    for file in files:
        path = folder / file.name
        if fault(file, folder) is not None or _unrecorded(file, path):
            with locked(path.with_name(".lock")):
                if fault(file, folder) is not None:
                    _fetch(file, path)
                if _unrecorded(file, path):
                    _record(path)
    return folder


def data_folder() -> Path:
    """Return where data are kept; the folder need not exist yet."""
    chosen = os.environ.get(DATA)
    return Path(chosen) if chosen else platformdirs.user_cache_path("ssm-bench", appauthor=False)


def fault(file: RemoteFile, folder: Path) -> str | None:
    """Return what is wrong with a file in a folder, in a clause; None if nothing is."""
    path = folder / file.name
    if path.is_dir():
        return "is a folder, not a file"
    if not path.is_file():
        return "is not there"
    return _differs(path, file.size, file.checksum or recorded(path))


def recorded(path: Path) -> str | None:
    """Return the checksum that was recorded when a file was first used; None if none was.

    It holds for that file alone: if the file is gone, so is what was recorded.
    """
    if not path.is_file():
        return None
    try:
        text = path.with_name(path.name + RECORD).read_text("ascii", "replace")
    except FileNotFoundError:
        return None
    found = DIGEST.match(text)
    return f"sha256:{found[0].lower()}" if found else None


def missing(files: tuple[RemoteFile, ...]) -> list[RemoteFile]:
    """Return the files that are not there, without reading those that are."""
    folder = data_folder()
    return [file for file in files if not (folder / file.name).is_file()]


def candidates(file: RemoteFile) -> tuple[str, ...]:
    """Return the addresses at which a file is looked for, in this order."""
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return file.urls
    names = dict.fromkeys((file.name, file.name.rpartition("/")[2]))
    return tuple(f"{mirror.rstrip('/')}/{name}" for name in names)


def locked(path: Path) -> BinaryIO:
    """Open a file that one process at a time holds; closing it lets the next one have it.

    Raises:
        KeepError: Its folder cannot be written to.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("ab")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in a sentence that something cannot be written.

    Raises:
        KeepError: The disk is full, or forbids it, or fails.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # of a server: those of the system have a number
            raise
        raise KeepError(
            f"{path} cannot be written ({error.strerror}); make room there, or set {DATA} to "
            "another folder."
        ) from error


def _unrecorded(file: RemoteFile, path: Path) -> bool:
    return file.checksum is None and recorded(path) is None


def _record(path: Path) -> None:
    """Write the checksum of a file beside it, whole or not at all, and tell it."""
    from harness.data.download import summed  # noqa: PLC0415 - no library without a download

    digest, record = summed(path, "sha256"), path.with_name(path.name + RECORD)
    part = record.with_name(record.name + ".part")
    with writing(record):
        part.write_text(f"{digest}  {path.name}\n")
        part.replace(record)
    say(
        f"Nobody publishes a checksum of {path.name}; its SHA-256 is {digest} here, and the file "
        "must have it as long as it is there."
    )


def _differs(path: Path, size: int | None, checksum: str | None) -> str | None:
    """Say in a clause how a file differs from what it should be; None if it does not."""
    if size is not None and (found := path.stat().st_size) != size:
        return f"has {found:,} bytes, not {size:,}"
    if checksum is None:
        return None
    from harness.data.download import summed  # noqa: PLC0415 - as above

    method, _, wanted = checksum.partition(":")
    try:
        digest = summed(path, method)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if digest == wanted.lower() else f"has the {method} {digest}, not {wanted}"


def _fetch(file: RemoteFile, path: Path) -> None:
    """Download a file from the first address that has it, and give it its name."""
    if path.is_dir():
        raise FetchError(f"{path} is a folder where the file {file.name} belongs; move it away.")
    part, complaints = path.with_name(path.name + ".part"), []
    record = None if file.checksum else recorded(path)
    for url in candidates(file):
        fault = _attempted(url, part, file, record)
        if fault is None:
            with writing(path):
                if record is None:  # what may be recorded is of a file that is gone
                    path.with_name(path.name + RECORD).unlink(missing_ok=True)
                part.replace(path)
            return
        complaints.append(f"{url} ({fault})")
    size = "of unknown size" if file.size is None else f"{file.size:,} bytes"
    other = f", or delete {path.name}{RECORD} if that was recorded for a wrong file"
    raise FetchError(
        f"The file {file.name} ({size}) could not be fetched from "
        f"{' or '.join(complaints)}; put it at {path} by hand, or set {MIRROR} to an address "
        f"that has it{other if record else ''}."
    )


def _attempted(url: str, part: Path, file: RemoteFile, record: str | None) -> str | None:
    """Download a file from an address; say in a clause what went wrong, None if nothing did."""
    from harness.data.download import Download  # noqa: PLC0415 - as above

    download = Download(url, part, file)
    try:
        with writing(part):
            download.run()
        if (found := _differs(part, file.size, file.checksum or record)) is None:
            return None
        part.unlink()
        fault = f"what came {found}"
    except OSError as error:
        fault = _first_line(error)
    if download.have and not part.exists():  # what an earlier download left is to blame
        return _attempted(url, part, file, record)
    return fault


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}"
