"""Tasks whose data lie in files that must be fetched, or in an installed package."""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import final

from harness.contract.data import Batch
from harness.contract.kept import KeptTask
from harness.contract.task import Split
from harness.spec import SpecError

CHECKSUM = re.compile(r"sha256:[0-9a-fA-F]{64}|md5:[0-9a-fA-F]{32}")


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
        if not self.urls:
            raise SpecError(f"The file {self.name!r} has no address; give at least one.")
        if self.checksum is not None and not CHECKSUM.fullmatch(self.checksum):
            raise SpecError(
                f"{self.checksum!r} is no checksum of {self.name!r}; write it like 'sha256:...' "
                "with 64 hexadecimal digits or 'md5:...' with 32."
            )


class StoredTask(KeptTask):
    """A task whose data lie in files or in an installed package.

    Files that are fetched are parsed once: what `load` makes of them is kept in pieces. What comes
    with a package is read once a process.
    """

    def files(self) -> tuple[RemoteFile, ...]:
        """Return what must be fetched first; nothing, if the data need no download."""
        return ()

    @abstractmethod
    def load(self, split: Split, folder: Path) -> Batch | Iterator[Batch]:
        """Read a split from the folder where `files` lie.

        Returns:
            The split; or, if it is large, its pieces one after the other, in one pass. All in types
            that take little room, such as bytes, of which `ready` makes what networks take.
        """

    def depends_on(self) -> object:
        """Return its options, and which files it reads."""
        return [super().depends_on(), [[file.name, file.checksum] for file in self.files()]]

    def pieces(self, split: Split) -> list[Callable[[], Batch]]:
        """Return what reads each piece of a split, after fetching and parsing what is missing."""
        if not self.files():
            return [partial(self.packaged, split)]
        from harness.pieces import parsed  # noqa: PLC0415 - no folders without data

        said = f"reading {self.name}: {split}"
        return parsed(f"parsed/{self.key}/{split}", partial(self._parts, split), said)

    @lru_cache(maxsize=8)  # noqa: B019 - a task is a small frozen value, few a process
    def packaged(self, split: Split) -> Batch:
        """Read a split that needs no download."""
        [whole] = self._parts(split)
        return whole

    def _parts(self, split: Split) -> Iterator[Batch]:
        from harness.fetch import fetched  # noqa: PLC0415 - no download library without a download

        loaded = self.load(split, fetched(self.files()))
        yield from [loaded] if isinstance(loaded, Batch) else loaded
