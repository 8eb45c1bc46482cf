"""What a child says: lines that only it can have written, and the last words of its process.

What a plugin starts may inherit its pipes. A line of the child's carries the token that came with
its request over standard input, which nobody else has read; what carries none is passed over. Of
what goes to standard error the end is kept, as it comes, so a flood fills neither disk nor memory.
"""

import os
import secrets
import select
import threading
from collections.abc import Iterable, Iterator
from typing import Self

import msgspec

from harness.core import codec
from harness.core.traces import MOST_WORDS, last_lines

LAST_S = 1.0
"""Seconds that the end of standard error may take once all that could write to it was ended."""


def new_token() -> str:
    """Return what nobody can guess."""
    return secrets.token_hex(16)


class Speaker:
    """The child's end: what is said goes to standard output, and what others print does not.

    Made before a plugin is imported. What is executed has not got the pipe; what is forked closes
    it.
    """

    def __init__(self) -> None:
        self.pipe, self.token, self.alone = os.dup(1), "", threading.Lock()
        os.dup2(2, 1)
        os.register_at_fork(after_in_child=self._close)

    def _close(self) -> None:
        """Close the pipe once: what is forked from what was forked may use its number."""
        pipe, self.pipe = self.pipe, -1
        if pipe >= 0:
            os.close(pipe)

    def say(self, message: msgspec.Struct) -> None:
        """Send a message, on a line of its own whatever stands before it, from any thread."""
        line = memoryview(b"\n%s\n" % sealed(codec.encode(message), self.token))
        with self.alone:
            while line:
                line = line[os.write(self.pipe, line) :]


def sealed(message: bytes, token: str) -> bytes:
    """Put a token before a message."""
    return b"%s %s" % (token.encode(), message) if token else message


def genuine(lines: Iterable[bytes], token: str) -> Iterator[bytes]:
    """Yield the messages of the lines that carry a token; of no token all, but for empty lines."""
    seal = f"{token} ".encode() if token else b""
    for line in lines:
        if line and line.startswith(seal):
            yield line.removeprefix(seal)


class LastWords:
    """The end of what goes to the descriptor `sink`, which a thread reads as it comes."""

    def __init__(self) -> None:
        self.kept = b""
        self.source, self.sink = os.pipe()
        self.stopped, self.stop = os.pipe()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def told(self) -> list[str]:
        """Return the last lines; nothing that comes later counts."""
        self._close()
        return last_lines(self.kept.decode(errors="replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _read(self) -> None:
        waited = select.poll()
        for file in (self.source, self.stopped):
            waited.register(file, select.POLLIN)
        while self.stopped not in dict(waited.poll()):
            chunk = os.read(self.source, 1 << 16)
            if not chunk:
                break
            self.kept = (self.kept + chunk)[-MOST_WORDS:]

    def _close(self) -> None:
        """Close our end, read what is there, and wait no longer for whoever holds another."""
        if self.sink < 0:
            return
        os.close(self.sink)
        self.sink = -1
        self.reader.join(LAST_S)
        os.close(self.stop)
        self.reader.join()
        os.close(self.source)
        os.close(self.stopped)
