"""Files that are fetched before a task's data can be read."""

import re
from dataclasses import dataclass
from typing import final

from harness.core.errors import SpecError, quoted

CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}|md5:[0-9a-fA-F]{32}")

LONGEST = 200
"""Bytes of a name beside which what belongs to the file has room."""


@final
@dataclass(frozen=True)
class RemoteFile:
    """A file that a task's data come from."""

    name: str
    """Its path in the data folder, such as `mnist/labels.gz`."""
    urls: tuple[str, ...]
    """Where it is to be had, tried in this order."""
    checksum: str | None
    """As published, `sha256:...` or `md5:...`; None if nobody published one: what came first is
    then recorded beside the file and holds as long as the file is there."""
    size: int | None
    """Bytes; None if nobody publishes how many: a server's word is then all there is, and if it
    gives none, a file that was cut short cannot be told from a whole one."""

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if {"", ".", ".."} & {*parts} or "\\" in self.name or not self.name.isprintable():
            raise SpecError(f"{self.name!r} is no path in the data folder, such as 'set/file.gz'.")
        if max(len(part.encode()) for part in parts) > LONGEST or len(self.name) > 10 * LONGEST:
            raise SpecError(f"{quoted(self.name)} is too long for the name of a file; shorten it.")
        if not self.urls:
            raise SpecError(f"The file {self.name!r} has no address; give at least one.")
        if self.checksum is not None and not CHECKSUM.fullmatch(self.checksum):
            raise SpecError(
                f"{self.checksum!r} is no checksum of {self.name!r}; write it like 'sha256:...' "
                "with 64 hexadecimal digits or 'md5:...' with 32."
            )
