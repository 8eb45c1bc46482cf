"""Files that are fetched are parsed once; what is cached of them is whole or not there."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import ClassVar

import pytest
import torch

from harness.api import Batch, FileTask, OneLabel, RemoteFile, Split, Tokens
from harness.data.cache import data_dir
from tests.served import Site


@dataclass(frozen=True, kw_only=True)
class Letters(FileTask):
    """The letters of a file, three a shard; how often it is parsed is noted."""

    shift: int = 0
    file: ClassVar[RemoteFile]
    parsed: ClassVar[list[str]] = []
    wait: ClassVar[Callable[[], object]]
    """Called when parsing begins."""
    inputs = property(lambda self: Tokens(256))
    outputs = property(lambda self: OneLabel(256))
    max_length = property(lambda self: 1)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def files(self) -> tuple[RemoteFile, ...]:
        return (self.file,)

    def load(self, split: Split, folder: Path) -> Iterator[Batch]:
        self.parsed.append(split)
        type(self).wait()
        letters = torch.tensor(list((folder / self.file.name).read_bytes())) + self.shift
        for part in letters[: None if split == "train" else 4].split(3):
            yield Batch(part[:, None], part)


class Interrupted(Letters):
    """Parsing is broken off."""

    def load(self, split: Split, folder: Path) -> Iterator[Batch]:
        yield Batch(torch.zeros(3, 1), torch.zeros(3))
        raise KeyboardInterrupt


class Packaged(Letters):
    """The same from a package."""

    def files(self) -> tuple[RemoteFile, ...]:
        return ()

    def load(self, split: Split, folder: Path) -> Batch:
        self.parsed.append(split)
        rows = torch.arange(5)
        return Batch(rows[:, None], rows)


@pytest.fixture
def task(site: Site, monkeypatch: pytest.MonkeyPatch) -> Letters:
    Letters.parsed.clear()
    monkeypatch.setattr(Letters, "wait", lambda: None, raising=False)
    monkeypatch.setattr(Letters, "file", site.put("letters.txt", b"abcdefgh"), raising=False)
    return Letters()


def text(batch: Batch) -> str:
    return bytes(batch.targets.tolist()).decode()


def by_two(task: Letters, monkeypatch: pytest.MonkeyPatch, read: Callable[[], str]) -> list[str]:
    """Have two threads read, of which the second begins while the first one parses."""
    parsing, second = Event(), Event()

    def wait() -> None:
        parsing.set()
        second.wait(30)
        second.clear()
        second.wait(0.2)  # until the second one must have come to where it waits

    def begin() -> str:
        parsing.wait(30)
        second.set()
        return read()

    monkeypatch.setattr(type(task), "wait", wait)
    with ThreadPoolExecutor(2) as threads:
        return [done.result() for done in (threads.submit(read), threads.submit(begin))]


def test_a_file_is_fetched_and_parsed_once(task: Letters, site: Site) -> None:
    assert [text(task.split(split)) for split in ("test", "validation")] == ["abcd", "abcd"]
    assert [text(task.split("test")) for _ in range(3)] == ["abcd"] * 3

    assert Letters.parsed == ["test", "validation"]
    assert site.asked == ["letters.txt"]


def test_what_was_parsed_does_without_the_file(task: Letters) -> None:
    task.split("test")
    (data_dir() / "letters.txt").unlink()

    assert text(task.split("test")) == "abcd"


def test_an_epoch_shows_every_shard_in_another_order(task: Letters) -> None:
    shown = "".join(text(batch) for batch in islice(task.train_batches(1), 16))

    assert sorted(shown[:8]) == sorted(shown[8:]) == list("abcdefgh")
    assert shown[:8] != shown[8:]
    assert text(task.split("train")) == "abc"
    assert Letters.parsed == ["train"]


def test_a_broken_shard_is_parsed_again(task: Letters) -> None:
    task.split("test")
    [_, last] = sorted(data_dir().rglob("*.npz"))
    last.write_bytes(last.read_bytes()[:20])

    assert text(task.split("test")) == "abcd"
    assert Letters.parsed == ["test", "test"]


@pytest.mark.parametrize("lost", ["00000.npz", "00001.npz", "count"])
def test_a_split_that_lacks_something_is_parsed_again(task: Letters, lost: str) -> None:
    task.split("test")
    [path] = data_dir().glob(f"parsed/*/test/{lost}")
    path.unlink()

    assert text(task.split("test")) == "abcd"
    assert Letters.parsed == ["test", "test"]


def test_two_that_find_a_broken_shard_parse_once(
    task: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first, second] = task.shards("test")
    [path] = data_dir().glob("parsed/*/test/00001.npz")
    path.write_bytes(b"")

    assert by_two(task, monkeypatch, lambda: text(second())) == ["d", "d"]
    assert text(first()) == "abc"
    assert Letters.parsed == ["test", "test"]


def test_of_two_that_want_the_same_split_one_waits_for_the_other(
    task: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_two(task, monkeypatch, lambda: text(task.split("test"))) == ["abcd", "abcd"]
    assert Letters.parsed == ["test"]


def test_a_parsing_that_was_interrupted_leaves_nothing(task: Letters) -> None:
    with pytest.raises(KeyboardInterrupt):
        Interrupted().split("test")

    left = [path for path in (data_dir() / "parsed").rglob("*") if path.is_file()]
    assert [path.suffix for path in left] == [".lock"]
    assert text(task.split("test")) == "abcd"


def test_other_options_and_other_files_have_folders_of_their_own(
    task: Letters, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [task.key, Letters(shift=1).key]
    monkeypatch.setattr(Letters, "file", site.put("letters.txt", b"ABCDEFGH"))

    assert len({*keys, task.key}) == 3
    assert text(Letters(shift=1).split("test")) == "BCDE"


def test_what_comes_with_a_package_is_read_once_a_process_and_not_cached(task: Letters) -> None:
    packaged = Packaged()
    for _ in range(3):
        assert packaged.split("train").targets.tolist() == [0, 1, 2, 3, 4]
    batches = list(islice(packaged.train_batches(2), 4))

    assert Letters.parsed == ["train"]
    assert sum(len(batch) for batch in batches) == 8
    assert not (data_dir() / "parsed").exists()
