"""Tasks whose data lie in files that must be fetched, or in an installed package."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

from harness.contract.batch import Batch
from harness.contract.task import Split
from harness.data.cache import shard_dir
from harness.data.cached_task import CachedTask
from harness.data.fetch import fetch
from harness.data.shards import load_or_parse


class FileTask(CachedTask):
    """A task whose data lie in files or in an installed package.

    Files that are fetched are parsed once: what `load` makes of them is cached in shards. What
    comes with a package is read once a process.
    """

    @abstractmethod
    def load(self, split: Split, folder: Path) -> Batch | Iterator[Batch]:
        """Read a split from the folder where `files` lie.

        Returns:
            The split; or, if it is large, its shards one after the other, in one pass. All in types
            that take little room, such as bytes, of which `prepare` makes what networks take.
        """

    def depends_on(self) -> object:
        """Return its options, and which files it reads."""
        return [super().depends_on(), [[file.name, file.checksum] for file in self.files()]]

    @property
    def cache_name(self) -> str:
        """A folder, which holds one of each split."""
        return f"parsed/{self.key}"

    def shards(self, split: Split) -> list[Callable[[], Batch]]:
        """Return what reads each shard of a split, after fetching and parsing what is missing."""
        if not self.files():
            return [partial(_packaged, self, split, shard_dir())]
        message = f"reading {self.name}: {split}"
        return load_or_parse(f"{self.cache_name}/{split}", partial(_loaded, self, split), message)


@lru_cache(maxsize=8)
def _packaged(task: FileTask, split: Split, _: Path) -> Batch:
    """Read a split that needs no download, once for each folder that shards are cached in."""
    [batch] = _loaded(task, split)
    return batch


def _loaded(task: FileTask, split: Split) -> Iterator[Batch]:
    loaded = task.load(split, fetch(task.files()))
    yield from [loaded] if isinstance(loaded, Batch) else loaded
