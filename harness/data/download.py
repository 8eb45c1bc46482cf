"""One download over HTTP, through pooch, which goes on where an earlier one stopped."""

from pathlib import Path
from typing import BinaryIO, Self

import pooch
from requests import Response
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from harness.contract.remote_file import RemoteFile
from harness.core.notify import say, tell, terminal

CHUNK = 1 << 16


def summed(path: Path, method: str) -> str:
    """Return a file's checksum in hexadecimal digits, by `sha256` or `md5`."""
    digest: str = pooch.file_hash(path, alg=method)
    return digest


class Download:
    """A file on its way from an address into a `.part` file, which outlives an interruption.

    The rest of a file is asked for only where that is safe: with `If-Range` a server sends the
    whole file if it is no longer the one that the first part came from, and so does a server that
    knows no ranges.
    """

    def __init__(self, url: str, part: Path, file: RemoteFile) -> None:
        self.url, self.part, self.file = url, part, file
        self.tag = part.with_name(part.name + ".tag")
        self.have = part.stat().st_size if part.is_file() else 0
        """Bytes of an earlier download that this one goes on with."""

    def run(self) -> None:
        """Download what is missing.

        Raises:
            OSError: The server cannot be reached, refuses, or stops half-way.
        """
        size = self.file.size
        if size is None or self.have < size:
            told = "of unknown size" if size is None else decimal(size)
            say(f"Fetching {self.file.name} ({told}) from {self.url}")
            with self.part.open("ab") as out, _Bar(self.file, self.have) as bar:
                get = pooch.HTTPDownloader(
                    progressbar=bar,
                    chunk_size=CHUNK,
                    headers=self._headers(),
                    hooks={"response": lambda answer, **_: self._begin(answer, out, bar)},
                )
                get(self.url, out, None)
        self.tag.unlink(missing_ok=True)

    def _headers(self) -> dict[str, str]:
        """Ask for the bytes themselves, and only for the rest if the first came from this place."""
        headers = {"Accept-Encoding": "identity"}
        came = self.tag.read_text().split("\n") if self.tag.is_file() else []
        if self.have and came[:1] == [self.url]:
            headers |= {"Range": f"bytes={self.have}-", "If-Range": came[1]}
        return headers

    def _begin(self, answer: Response, out: BinaryIO, bar: "_Bar") -> None:
        """Look at what a server is about to send; throw away the first part if it sends all.

        A refusal leaves the first part alone, for another time or another address may have the
        rest, unless what is refused is that range.
        """
        if answer.status_code == 416:
            self._dropped()
        if answer.status_code == 206:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {self.have}-"):
                self._dropped()
                raise OSError("the server answered with another range than it was asked for")
            return
        if answer.is_redirect or not answer.ok:
            return
        out.truncate(0)
        self.have = bar.start = 0
        bar.reset()
        length = answer.headers.get("Content-Length", "")
        if self.file.size is None and length.isdigit():
            bar.expect(int(length))
        mark = answer.headers.get("ETag", "")
        # A weak tag does not promise the same bytes.
        mark = answer.headers.get("Last-Modified", "") if mark[:2] in {"", "W/"} else mark
        if mark:
            self.tag.write_text(f"{self.url}\n{mark}")
        else:
            self.tag.unlink(missing_ok=True)

    def _dropped(self) -> None:
        """Remove the first part, which nothing continues."""
        self.part.unlink()
        self.tag.unlink(missing_ok=True)


class _Bar:
    """The progress of a download, on a terminal or told, with the face that pooch asks for."""

    def __init__(self, file: RemoteFile, start: int) -> None:
        self.start, self.total = start, file.size
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=terminal(),
            transient=True,
        )
        self._task = self._progress.add_task(file.name, total=file.size, completed=start)

    def __enter__(self) -> Self:
        if self._progress.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        tell("")

    def expect(self, total: int) -> None:
        """Learn from the server how many bytes the file has, and tell it without a bar too."""
        say(f"It has {total:,} bytes.")
        self._progress.update(self._task, total=total)

    def update(self, size: int) -> None:
        """Add bytes."""
        self._progress.update(self._task, advance=size)
        [bar] = self._progress.tasks
        done = f"{bar.percentage:.0f} %" if bar.total else decimal(int(bar.completed))
        tell(f"fetching {bar.description}: {done}")

    def reset(self) -> None:
        """Go back to where this download began; pooch then adds what came."""
        self._progress.update(self._task, completed=self.start)

    def close(self) -> None:
        """Do nothing more: leaving the context ends the bar, after failures too."""
