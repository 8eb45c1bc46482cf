"""Fetches the files that a stored task's data come from, once, and checks every byte of them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from harness.contract.stored import RemoteFile
from harness.spec import SpecError

DATA = "SSM_BENCH_DATA"
"""Environment variable: the folder for data; the user's cache folder if it is not set."""
MIRROR = "SSM_BENCH_MIRROR"
"""Environment variable: an address that stands in for all others, laid out like the data folder."""
RECORD = ".sha256"
"""Ending of the file that holds the checksum of a file for which nobody published one."""


class FetchError(SpecError):
    """A file could not be fetched, told in one sentence."""


def fetched(files: tuple[RemoteFile, ...]) -> Path:
    """Return the folder in which all files lie, after fetching those that are missing.

    A file gets its name only when all its bytes have arrived and have the right checksum. What an
    interrupted download left is gone on with. A file that was put there by hand is checked like
    any. Two processes that want the same file wait for each other.

    Raises:
        FetchError: A file is neither there nor to be had; the message says where to put it.
    """
    folder = data_folder()
    for file in files:
        if examined(file, folder) is not None:
            with _alone(folder / file.name):
                if examined(file, folder) is not None:
                    _fetch(file, folder / file.name)
        remembered(file, folder)
    return folder


def data_folder() -> Path:
    """Return where data are kept; the folder need not exist yet."""
    chosen = os.environ.get(DATA)
    return Path(chosen) if chosen else platformdirs.user_cache_path("ssm-bench", appauthor=False)


def examined(file: RemoteFile, folder: Path) -> str | None:
    """Return what is wrong with a file in a folder, in a clause; None if nothing is."""
    path = folder / file.name
    if not path.is_file():
        return "is not there"
    return _differs(path, file.size, file.checksum or recorded(path))


def recorded(path: Path) -> str | None:
    """Return the checksum that was recorded when a file was first used; None if none was."""
    try:
        return f"sha256:{path.with_name(path.name + RECORD).read_text().split()[0]}"
    except (FileNotFoundError, IndexError):
        return None


def remembered(file: RemoteFile, folder: Path) -> None:
    """Record the checksum of a file for which nobody published one, unless it is recorded."""
    path = folder / file.name
    if file.checksum is not None or recorded(path) is not None:
        return
    from harness.download import say, summed  # noqa: PLC0415 - no library without a download

    digest = summed(path, "sha256")
    path.with_name(path.name + RECORD).write_text(f"{digest}  {path.name}\n")
    say(
        f"Nobody publishes a checksum of {file.name}; its SHA-256 is {digest} here, and the file "
        "must have it from now on."
    )


def candidates(file: RemoteFile) -> tuple[str, ...]:
    """Return the addresses at which a file is looked for, in this order."""
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return file.urls
    names = dict.fromkeys((file.name, file.name.rpartition("/")[2]))
    return tuple(f"{mirror.rstrip('/')}/{name}" for name in names)


def _differs(path: Path, size: int | None, checksum: str | None) -> str | None:
    """Say in a clause how a file differs from what it should be; None if it does not."""
    if size is not None and (found := path.stat().st_size) != size:
        return f"has {found:,} bytes, not {size:,}"
    if checksum is None:
        return None
    from harness.download import summed  # noqa: PLC0415 - as above

    method, _, wanted = checksum.partition(":")
    digest = summed(path, method)
    return None if digest == wanted.lower() else f"has the {method} {digest}, not {wanted}"


def _fetch(file: RemoteFile, path: Path) -> None:
    """Download a file from the first address that has it, and give it its name."""
    from harness.download import Download  # noqa: PLC0415 - as above

    part, complaints = path.with_name(path.name + ".part"), []
    for url in candidates(file):
        try:
            Download(url, part, file).run()
        except OSError as error:
            complaints.append(f"{url} ({_first_line(error)})")
            continue
        if (fault := _differs(part, file.size, file.checksum or recorded(path))) is None:
            part.replace(path)
            return
        part.unlink()
        complaints.append(f"{url} (what came {fault})")
    size = "of unknown size" if file.size is None else f"{file.size:,} bytes"
    raise FetchError(
        f"The file {file.name} ({size}) could not be fetched from "
        f"{' or '.join(complaints)}; put it at {path} by hand, or set {MIRROR} to an address "
        f"that has it."
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process fetches into the folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(".lock").open("ab")
    except OSError as error:
        raise FetchError(
            f"The folder {path.parent} cannot be written to ({_first_line(error)}); set {DATA} to "
            "one that can."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
